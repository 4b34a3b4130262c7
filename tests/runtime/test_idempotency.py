"""A message that is sent again under its sender's own name is accepted once, and answered as often as it is sent."""

import asyncio
import logging

import pytest

from flue_actors import create_agent
from flue_actors.agent_ref import Submitted
from flue_actors.errors import AbortedError, InvalidRequestError, SubmissionConflictError
from flue_actors.events import ErrorEvent, Idle
from flue_actors.events import Operation as OperationEvent
from tests.runtime.machine import kinds_stored, machine
from tests.runtime.support import running, virtual_time

ECHO = create_agent(model="scripted/echo", instructions="")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


async def tags(pending: Submitted) -> list[type]:
    """The types of its events, to their end."""
    return [type(event) async for batch in pending.feed.batches() for event in batch]


@virtual_time
async def test_sent_again_while_it_waits_runs_or_is_done_it_is_the_same_input() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        busy = await ref.submit("wait 5")
        first = await ref.submit("wait 5\nhello", idempotency_key="k")
        waiting = await ref.submit("wait 5\nhello", idempotency_key="k")
        await busy.result()
        await asyncio.sleep(1)
        at_work = await ref.submit("wait 5\nhello", idempotency_key="k")
        told = [await each.result() for each in (first, waiting, at_work)]
        done = await ref.submit("wait 5\nhello", idempotency_key="k")
        assert {each.submission_id for each in (waiting, at_work, done)} == {first.submission_id}
        assert {each.accepted_at for each in (waiting, at_work, done)} == {first.accepted_at}
        assert [*told, await done.result()] == [told[0]] * 4
        assert (await kinds_stored(runtime.store)).count("user") == 2


@virtual_time
async def test_sent_again_after_a_restart_it_is_the_same_input() -> None:
    async with machine(ECHO) as one:
        ref = (await one.start()).ref("agent", "u1")
        done = await ref.submit("hello", idempotency_key="done")
        answer = await done.result()
        left = await ref.submit("wait 50", idempotency_key="left")
        await asyncio.sleep(1)
        ref = (await one.restart()).ref("agent", "u1")
        assert await ref.prompt("hello", idempotency_key="done") == answer
        again = await ref.submit("wait 50", idempotency_key="left")
        assert again.submission_id == left.submission_id
        assert (await again.result()).text.startswith("echo: wait 50")


@virtual_time
@pytest.mark.parametrize("when", ["under way", "settled"])
async def test_the_same_key_for_another_message_is_a_conflict(when: str) -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        first = await ref.submit("wait 5", idempotency_key="k")
        if when == "settled":
            await first.result()
        with pytest.raises(SubmissionConflictError) as told:
            await ref.submit("something else", idempotency_key="k")
        assert told.value.meta == {"submissionId": first.submission_id}
        with pytest.raises(SubmissionConflictError):
            await ref.dispatch("wait 5", idempotency_key="k")


async def test_a_key_belongs_to_its_session() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        sent = [
            await ref.submit("hello", idempotency_key="k"),
            await ref.session("other").submit("hello", idempotency_key="k"),
            await runtime.ref("agent", "u2").submit("hello", idempotency_key="k"),
        ]
        assert len({each.submission_id for each in sent}) == 3


@virtual_time
async def test_a_dispatch_that_is_sent_again_gets_its_first_receipt() -> None:
    async with machine(ECHO) as one:
        ref = (await one.start()).ref("agent", "u1")
        receipts = [await ref.dispatch({"n": 1}, idempotency_key="k") for _ in range(2)]
        await ref.wait(receipts[0])
        receipts.append(await ref.dispatch({"n": 1}, idempotency_key="k"))
        ref = (await one.restart()).ref("agent", "u1")
        receipts.append(await ref.dispatch({"n": 1}, idempotency_key="k"))
        assert receipts == [receipts[0]] * 4


@virtual_time
@pytest.mark.parametrize("policy", ["interrupt", "supersede", "reject"])
async def test_a_repeat_changes_nothing_however_it_is_sent(policy: str) -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        first = await ref.submit("wait 5", if_busy=policy, idempotency_key="k")  # type: ignore[arg-type]
        await asyncio.sleep(1)
        waiting = await ref.submit("behind")
        again = await ref.submit("wait 5", if_busy=policy, idempotency_key="k")  # type: ignore[arg-type]
        assert await again.result() == await first.result()
        assert (await waiting.result()).text.startswith("echo: behind")


@virtual_time
async def test_a_repeat_that_watches_sees_the_end_of_it() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        first = await ref.submit("wait 5", idempotency_key="k")
        await asyncio.sleep(1)
        under_way = await ref.submit("wait 5", idempotency_key="k", watch=True)
        assert (await tags(under_way))[-2:] == [OperationEvent, Idle]
        await first.result()
        settled = await ref.submit("wait 5", idempotency_key="k", watch=True)
        assert await tags(settled) == [OperationEvent, Idle]


@virtual_time
async def test_a_repeat_of_what_was_aborted_is_told_so() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.submit("hang", idempotency_key="k")
        await asyncio.sleep(1)
        await ref.abort()
        again = await ref.submit("hang", idempotency_key="k", watch=True)
        with pytest.raises(AbortedError) as told:
            await again.result()
        assert told.value.meta == {"reason": "aborted"}
        assert (await tags(again))[-1] is ErrorEvent


async def test_of_many_at_the_same_moment_one_is_accepted() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        sent = await asyncio.gather(*[ref.submit("hello", idempotency_key="k") for _ in range(20)])
        assert len({each.submission_id for each in sent}) == 1
        assert len({(await each.result()).text for each in sent}) == 1
        assert (await kinds_stored(runtime.store)) == ["user", "assistant", "settled"]
        assert runtime.snapshot().pending == 0


@pytest.mark.parametrize("key", ["", " ", "k" * 257, "a\nb", "\x00", "\ud800"])
async def test_an_impossible_key_is_refused(key: str) -> None:
    async with running(ECHO) as runtime:
        with pytest.raises(InvalidRequestError):
            await runtime.ref("agent", "u1").submit("hello", idempotency_key=key)


async def test_a_key_may_be_long_and_in_any_language() -> None:
    async with running(ECHO) as runtime:
        assert await runtime.ref("agent", "u1").prompt("hello", idempotency_key="ключ é 鍵" + "k" * 240)
