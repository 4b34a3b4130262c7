import asyncio
import logging
from typing import Any

import pytest

from flue_actors import create_agent, memory_store
from flue_actors.definition.settings import Settings
from flue_actors.errors import ConfigError, StoreUnavailableError, SubmissionNotFoundError
from flue_actors.ids import AgentKey
from flue_actors.intake.retention import AT_ONCE, SWEEP_EVERY, Retention
from flue_actors.refs import LocalAgentRef
from flue_actors.runtime import Runtime
from flue_actors.storage import Prune
from tests.runtime.support import virtual_time

ECHO = create_agent(model="scripted/echo", instructions="Echo.")
HOUR = 3_600.0


class LoopClock:
    """Wall-clock time that moves with the loop's."""

    def now_ms(self) -> int:
        return 1_800_000_000_000 + round(asyncio.get_running_loop().time() * 1000)


class OddStore:
    """A memory store with something odd about it."""

    def __init__(self) -> None:
        self._store = memory_store()
        self.full = False
        self.while_looking: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, fence: Any, *ops: Any) -> Any:
        if self.full and isinstance(ops[0], Prune):
            failed = asyncio.get_running_loop().create_future()
            failed.set_exception(StoreUnavailableError())
            return failed
        return self._store.commit(fence, *ops)

    async def idle(self, **which: Any) -> Any:
        found = await self._store.idle(**which)
        if self.while_looking is not None:
            await self.while_looking(found[0])
        return found


def keeping(store: Any = None, **retention: Any) -> Runtime:
    return Runtime({"agent": ECHO}, store=store, retention=Retention(**retention), clock=LoopClock())


async def is_known(ref: LocalAgentRef, submission_id: str) -> bool:
    try:
        await ref.submission(submission_id)
    except SubmissionNotFoundError:
        return False
    return True


@virtual_time
async def test_a_settled_input_is_forgotten_after_its_time_and_what_was_said_stays() -> None:
    async with keeping(submissions=HOUR) as runtime:
        ref = runtime.ref("agent", "u1")
        sent = await ref.submit("hello")
        await sent.result()
        await asyncio.sleep(HOUR - SWEEP_EVERY)
        assert await is_known(ref, sent.submission_id)
        await asyncio.sleep(3 * SWEEP_EVERY)
        assert not await is_known(ref, sent.submission_id)
        assert len(await ref.history()) == 2


def test_receipts_are_kept_for_a_week_and_instances_for_good_unless_told_otherwise() -> None:
    assert (Retention().submissions, Retention().idle) == (7 * 86_400, None)


@virtual_time
async def test_a_forgotten_idempotency_key_may_be_used_for_another_input() -> None:
    async with keeping(submissions=HOUR) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("one", idempotency_key="k")
        await asyncio.sleep(HOUR + 2 * SWEEP_EVERY)
        assert "two" in (await ref.prompt("two", idempotency_key="k")).text


@virtual_time
async def test_an_input_without_outcome_is_not_forgotten() -> None:
    async with keeping(submissions=10.0, idle=10.0) as runtime:
        ref = runtime.ref("agent", "u1")
        sent = await ref.submit("wait 110\nhello")
        await asyncio.sleep(1.5 * SWEEP_EVERY)
        assert await is_known(ref, sent.submission_id)
        await ref.abort()


@virtual_time
async def test_thousands_are_forgotten_in_seconds() -> None:
    async with keeping(submissions=HOUR) as runtime:
        ref = runtime.ref("agent", "u1")
        sent = [await runtime.ref("agent", f"u{number}").submit("hello") for number in range(2 * AT_ONCE + 10)]
        await asyncio.gather(*[each.result() for each in sent])
        await asyncio.sleep(HOUR + SWEEP_EVERY + 10)
        assert not any([await is_known(ref, each.submission_id) for each in sent])


@virtual_time
async def test_an_idle_instance_is_erased_and_a_used_one_is_not() -> None:
    async with keeping(idle=HOUR) as runtime:
        old, used = runtime.ref("agent", "old"), runtime.ref("agent", "used")
        await old.prompt("hello")
        await used.prompt("hello")
        await asyncio.sleep(HOUR - SWEEP_EVERY)
        await used.prompt("hello again")
        await asyncio.sleep(3 * SWEEP_EVERY)
        assert await old.sessions() == []
        assert len(await used.history()) == 4


@virtual_time
async def test_every_instance_has_its_turn_however_many_there_are() -> None:
    async with keeping(idle=HOUR) as runtime:
        refs = [runtime.ref("agent", f"u{number}") for number in range(2 * AT_ONCE + 10)]
        await asyncio.gather(*[ref.prompt("hello") for ref in refs])
        await asyncio.sleep(HOUR + 6 * SWEEP_EVERY)
        assert [await ref.sessions() for ref in refs] == [[]] * len(refs)


@virtual_time
async def test_an_erased_instance_begins_anew() -> None:
    async with keeping(idle=HOUR) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("hello")
        await asyncio.sleep(HOUR + 3 * SWEEP_EVERY)
        assert "(1 messages)" in (await ref.prompt("hello")).text


@virtual_time
async def test_an_instance_that_is_sent_something_while_it_is_looked_at_is_not_erased() -> None:
    store = OddStore()
    async with keeping(store, idle=HOUR) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("hello")

        async def send(found: list[AgentKey]) -> None:
            if ref.key not in found:
                return
            store.while_looking = None
            sent.append(asyncio.ensure_future(ref.prompt("wait 30\nand again")))
            await asyncio.sleep(0)

        sent: list[asyncio.Future[Any]] = []
        store.while_looking = send
        await asyncio.sleep(HOUR + 3 * SWEEP_EVERY)
        assert "again" in (await sent[0]).text
        assert len(await ref.history()) == 4


@virtual_time
async def test_nothing_is_swept_where_everything_is_kept() -> None:
    async with keeping(submissions=None) as runtime:
        ref = runtime.ref("agent", "u1")
        sent = await ref.submit("hello")
        await sent.result()
        commits = runtime.snapshot().store.commits
        await asyncio.sleep(20 * HOUR)
        assert runtime.snapshot().store.commits == commits
        assert await is_known(ref, sent.submission_id)


@virtual_time
async def test_a_store_that_cannot_be_written_is_told_once_and_swept_when_it_can(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = OddStore()
    caplog.set_level(logging.WARNING, "flue_actors.retention")
    async with keeping(store, submissions=10.0) as runtime:
        ref = runtime.ref("agent", "u1")
        sent = await ref.submit("hello")
        await sent.result()
        store.full = True
        await asyncio.sleep(10 * SWEEP_EVERY)
        assert await is_known(ref, sent.submission_id)
        assert len(caplog.records) == 1
        store.full = False
        await asyncio.sleep(2 * SWEEP_EVERY)
        assert not await is_known(ref, sent.submission_id)


@virtual_time
async def test_a_stopped_runtime_sweeps_no_more() -> None:
    tasks = asyncio.all_tasks()
    async with keeping(submissions=10.0):
        assert asyncio.all_tasks() > tasks
    assert asyncio.all_tasks() == tasks


@virtual_time
async def test_what_the_instances_of_an_agent_share_is_no_instance() -> None:
    store = memory_store()
    async with keeping(store, idle=HOUR) as runtime:
        await runtime.ref("agent", "u1").prompt("hello")
        shared = AgentKey("agent", "")
        before = await store.kv(shared, "frozen")
        await asyncio.sleep(HOUR + 3 * SWEEP_EVERY)
        assert before
        assert await store.kv(shared, "frozen") == before


@virtual_time
async def test_the_settings_say_what_a_runtime_keeps() -> None:
    settings = Settings(retain_submissions=None, retain_idle=HOUR)
    async with Runtime({"agent": ECHO}, settings=settings, clock=LoopClock()) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("hello")
        await asyncio.sleep(HOUR + 3 * SWEEP_EVERY)
        assert await ref.sessions() == []


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_an_impossible_age_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="submissions"):
        Retention(submissions=seconds)
    with pytest.raises(ConfigError, match="idle"):
        Retention(idle=seconds)


def test_runs_are_not_available_yet() -> None:
    with pytest.raises(ConfigError, match="not available yet"):
        Retention(runs=HOUR)
