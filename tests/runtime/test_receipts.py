"""An accepted input is never lost sight of: its receipt, or its id, is enough, here and after a restart."""

import asyncio
import logging
from typing import Any, cast

import msgspec
import pytest

from flue_actors import create_agent, tool
from flue_actors.errors import AbortedError, InterruptedTurnError, ModelError, SubmissionNotFoundError
from flue_actors.events import PromptResult
from tests.runtime.machine import machine
from tests.runtime.support import running, virtual_time

ECHO = create_agent(model="scripted/echo", instructions="")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


async def test_an_outcome_is_had_by_receipt_by_id_and_by_what_submit_gave() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        receipt = await ref.dispatch("hello")
        submitted = await ref.submit("and")
        told: list[PromptResult] = []
        for each in (receipt, receipt.submission_id, submitted, submitted.submission_id):
            told.append(await ref.wait(each))
        assert told[0] == told[1]
        assert told[2] == told[3] == await submitted.result()


@virtual_time
async def test_a_submission_says_how_far_it_is() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        first, second = await ref.submit("wait 5"), await ref.dispatch("two")
        await asyncio.sleep(1)
        running_now, queued = await ref.submission(first.submission_id), await ref.submission(second.submission_id)
        assert (running_now.status, running_now.kind, running_now.attempts) == ("running", "direct", 1)
        assert (queued.status, queued.kind, queued.attempts, queued.started_at) == ("queued", "dispatch", 0, None)
        result = await first.result()
        settled = await ref.submission(first.submission_id)
        assert (settled.status, settled.outcome, settled.result, settled.error) == (
            "settled",
            "completed",
            result,
            None,
        )
        assert settled.accepted_at == first.accepted_at
        assert settled.settled_at is not None


@virtual_time
async def test_a_failure_keeps_its_type_its_words_and_its_meta_over_a_restart() -> None:
    async with machine(ECHO) as one:
        ref = (await one.start()).ref("agent", "u1")
        failed, aborted = await ref.submit("fail 400"), await ref.submit("hang")
        with pytest.raises(ModelError) as before:
            await failed.result()
        await ref.abort(reason="enough")
        ref = (await one.restart()).ref("agent", "u1")
        with pytest.raises(ModelError) as after:
            await ref.wait(failed.submission_id)
        assert type(after.value) is type(before.value)
        assert (after.value.type, after.value.message) == (before.value.type, before.value.message)
        with pytest.raises(AbortedError) as told:
            await ref.wait(aborted.submission_id)
        assert told.value.meta == {"reason": "enough"}
        error: Any = (await ref.submission(aborted.submission_id)).error
        assert (error.type, error.meta) == ("aborted", {"reason": "enough"})


@virtual_time
async def test_an_answer_is_the_same_after_a_restart() -> None:
    async with machine(ECHO) as one:
        ref = (await one.start()).ref("agent", "u1")
        submitted = await ref.submit("hello")
        answer = await submitted.result()
        ref = (await one.restart()).ref("agent", "u1")
        assert await ref.wait(submitted.submission_id) == answer
        assert (await ref.submission(submitted.submission_id)).result == answer


@virtual_time
async def test_who_waits_when_the_runtime_stops_is_told_that_it_is_kept() -> None:
    async with machine(ECHO) as one:
        runtime = await one.start()
        ref = runtime.ref("agent", "u1")
        submitted = await ref.submit("hang")
        waiting = asyncio.ensure_future(ref.wait(submitted.submission_id))
        await asyncio.sleep(1)
        await one.stop()
        with pytest.raises(InterruptedTurnError) as told:
            await waiting
        assert told.value.meta is not None
        assert told.value.meta["submissionId"] == submitted.submission_id


async def test_an_unknown_input_has_its_own_error() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        for ask in (ref.wait, ref.submission):
            with pytest.raises(SubmissionNotFoundError):
                await cast("Any", ask)("sub_unknown")


async def test_another_instances_input_is_as_unknown_as_any() -> None:
    async with running(ECHO) as runtime:
        submitted = await runtime.ref("agent", "u1").submit("hello")
        await submitted.result()
        other = runtime.ref("agent", "u2")
        for ask in (other.wait, other.submission, other.abort_submission):
            with pytest.raises(SubmissionNotFoundError):
                await cast("Any", ask)(submitted.submission_id)


@virtual_time
async def test_a_turn_can_wait_for_what_it_dispatched_elsewhere() -> None:
    async with running(ECHO) as runtime:

        @tool
        async def ask() -> str:
            """Ask another instance."""
            other = runtime.ref("agent", "u2")
            return (await other.wait(await other.dispatch("hello"))).text

        runtime.redefine({"agent": create_agent(model="scripted/echo", instructions="", tools=[ask])})
        assert "echo:" in (await runtime.ref("agent", "u1").prompt("call ask")).text


async def test_a_receipt_is_data() -> None:
    async with running(ECHO) as runtime:
        receipt = await runtime.ref("agent", "u1").dispatch("hello")
        sent = msgspec.json.decode(msgspec.json.encode(receipt))
        assert set(sent) == {"dispatchId", "submissionId", "acceptedAt"}
