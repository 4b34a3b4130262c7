"""Abort: whatever an input does at the moment, it ends as aborted, once, and what was said of it stays."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flue_actors import Tool, create_agent, tool
from flue_actors.definition.settings import Settings
from flue_actors.errors import AbortedError, FlueError, ModelOverloadedError, SubmissionNotFoundError
from flue_actors.messages import AssistantMessage, ToolCall, text_of
from flue_actors.models.protocol import ModelEvent, ModelRequest, TextDelta
from flue_actors.runtime import Runtime
from flue_actors.testing import ScriptedModel
from tests.runtime.machine import kinds_stored, machine, results_in, shown, signals, texts
from tests.runtime.replies import half
from tests.runtime.support import running, virtual_time


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def agent(*replies: Any, tools: list[Tool] | None = None, **fields: Any) -> Any:
    return create_agent(model=ScriptedModel(replies), instructions="", tools=tools or [], **fields)


async def reason_of(runtime: Runtime, submission_id: str) -> str:
    """Why it was aborted, as who waits is told."""
    with pytest.raises(AbortedError) as told:
        await runtime.ref("agent", "u1").wait(submission_id)
    assert told.value.meta is not None
    return str(told.value.meta["reason"])


@virtual_time
async def test_what_runs_is_aborted_and_what_it_had_said_is_kept() -> None:
    model = ScriptedModel([half, "forty-two"])
    async with running(create_agent(model=model, instructions="")) as runtime:
        ref = runtime.ref("agent", "u1")
        pending = await ref.submit("hello")
        await asyncio.sleep(1)
        assert await ref.abort() == 1
        with pytest.raises(AbortedError):
            await pending.result()
        (_, piece, _) = await shown(ref)
        assert isinstance(piece, AssistantMessage)
        assert (piece.stop_reason, text_of(piece)) == ("aborted", "The answer is ")
        assert await signals(runtime.store) == ["submission_aborted"]
        assert await kinds_stored(runtime.store) == ["user", "assistant", "signal", "settled"]
        assert model.closed == 1  # the provider's stream
        await ref.prompt("go on")
        assert [text_of(each) for each in model.requests[1].messages][:2] == ["hello", "The answer is "]


@virtual_time
async def test_what_waits_is_aborted_before_it_begins() -> None:
    async with running(agent(half)) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.submit("one")
        waiting = await ref.submit("two")
        assert await ref.abort_submission(waiting.submission_id, reason="changed my mind")
        assert await reason_of(runtime, waiting.submission_id) == "changed my mind"
        info = await ref.submission(waiting.submission_id)
        assert (info.outcome, info.attempts) == ("aborted", 0)
        assert "two" not in await texts(ref)
        assert (await ref.status()).queued == 0
        await ref.abort()


@virtual_time
async def test_an_abort_during_a_tool_leaves_its_outcome_unknown_and_cancels_what_it_started() -> None:
    cancelled: list[str] = []

    async def child() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append("child")

    @tool
    async def work() -> str:
        """Work with a helper."""
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
        return "never"

    replies = [ToolCall(id="1", name="work", arguments={}), "next"]
    async with running(agent(*replies, tools=[work])) as runtime:
        ref = runtime.ref("agent", "u1")
        pending = await ref.submit("hello")
        await asyncio.sleep(1)
        await ref.abort()
        await reason_of(runtime, pending.submission_id)
        assert cancelled == ["child"]
        assert "outcome is unknown" in results_in(await shown(ref))[0]
        assert (await ref.prompt("and?")).text == "next"


@virtual_time
async def test_an_abort_while_a_model_is_about_to_be_asked_again() -> None:
    async with running(agent(ModelOverloadedError(retryable=True, retry_after=100), "never")) as runtime:
        ref = runtime.ref("agent", "u1")
        pending = await ref.submit("hello")
        await asyncio.sleep(1)
        await ref.abort()
        await reason_of(runtime, pending.submission_id)
        assert asyncio.get_running_loop().time() < 2


@virtual_time
async def test_an_abort_while_the_end_of_a_burst_is_waited_for() -> None:
    async with running(agent(debounce=10)) as runtime:
        ref = runtime.ref("agent", "u1")
        pending = await ref.submit("hello")
        await asyncio.sleep(1)
        assert await ref.abort() == 1
        await reason_of(runtime, pending.submission_id)
        assert asyncio.get_running_loop().time() < 2


@virtual_time
async def test_an_abort_of_what_a_restart_has_not_taken_up_yet() -> None:
    async with machine(agent(half)) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        await asyncio.sleep(5)
        runtime = await one.restart()
        ref = runtime.ref("agent", "u1")
        assert await ref.abort(reason="too late") == 1
        assert await reason_of(runtime, pending.submission_id) == "too late"
        assert (await texts(ref))[:2] == ["hello", "The answer is "]
        assert (await kinds_stored(one.store))[-2:] == ["signal", "settled"]


@virtual_time
async def test_an_abort_of_a_resumed_attempt_keeps_what_all_attempts_had_said() -> None:
    async with machine(agent(half, half)) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        await asyncio.sleep(5)
        runtime = await one.restart()
        ref = runtime.ref("agent", "u1")
        await asyncio.sleep(5)
        assert await ref.abort() == 1
        await reason_of(runtime, pending.submission_id)
        assert (await texts(ref)).count("The answer is ") == 2
        assert await signals(one.store) == ["stream_interrupted", "submission_aborted"]
        assert (await one.row(pending.submission_id)).attempt == 2


@virtual_time
async def test_the_first_abort_says_why() -> None:
    async with running(agent(half)) as runtime:
        ref = runtime.ref("agent", "u1")
        pending, waiting = await ref.submit("hello"), await ref.submit("and")
        await asyncio.sleep(1)
        await asyncio.gather(ref.abort(reason="first"), ref.abort(reason="second"))
        assert await reason_of(runtime, pending.submission_id) == "first"
        assert await reason_of(runtime, waiting.submission_id) == "first"
        assert (await kinds_stored(runtime.store)).count("settled") == 1


@virtual_time
async def test_what_has_ended_cannot_be_aborted() -> None:
    async with running(agent("hi")) as runtime:
        ref = runtime.ref("agent", "u1")
        pending = await ref.submit("hello")
        await pending.result()
        assert await ref.abort() == 0
        assert not await ref.abort_submission(pending.submission_id)
        assert (await pending.result()).text == "hi"


async def test_what_was_never_there_cannot_be_aborted() -> None:
    async with running(agent()) as runtime:
        ref = runtime.ref("agent", "u1")
        assert await ref.abort() == 0
        with pytest.raises(SubmissionNotFoundError):
            await ref.abort_submission("sub_unknown")


@virtual_time
async def test_an_abort_of_one_session_leaves_the_others_alone() -> None:
    async with running(agent(half, half, concurrency="session")) as runtime:
        ref = runtime.ref("agent", "u1")
        other = await ref.session("other").submit("hello")
        mine = await ref.submit("hello")
        await asyncio.sleep(1)
        assert await ref.session("default").abort() == 1
        await reason_of(runtime, mine.submission_id)
        assert [each.submission_id for each in (await ref.status()).running] == [other.submission_id]
        assert await ref.abort() == 1  # the instance's takes them all


@virtual_time
async def test_an_abort_ends_what_joined_the_turn_with_it() -> None:
    async def two_calls(_: ModelRequest) -> AsyncIterator[ModelEvent]:
        yield TextDelta("x")
        await asyncio.Event().wait()

    @tool
    async def nap() -> str:
        """Sleep."""
        await asyncio.sleep(5)
        return "rested"

    call = ToolCall(id="1", name="nap", arguments={})
    async with running(agent(call, two_calls, tools=[nap])) as runtime:
        ref = runtime.ref("agent", "u1")
        host = await ref.submit("one")
        await asyncio.sleep(1)
        joined = await ref.submit("two", if_busy="steer")
        await asyncio.sleep(10)
        assert await ref.abort_submission(joined.submission_id)
        assert await reason_of(runtime, host.submission_id) == await reason_of(runtime, joined.submission_id)


@virtual_time
@pytest.mark.parametrize("tenths", range(0, 26, 2))
async def test_at_whatever_moment_it_comes_there_is_one_outcome(tenths: int) -> None:
    async def slow(_: ModelRequest) -> AsyncIterator[ModelEvent]:
        yield TextDelta("a")
        await asyncio.sleep(1)
        raise ModelOverloadedError(retryable=True, retry_after=1)

    @tool
    async def nap() -> str:
        """Sleep."""
        await asyncio.sleep(0.7)
        return "rested"

    replies = [ToolCall(id="1", name="nap", arguments={}), slow, "done"]
    async with running(agent(*replies, tools=[nap]), settings=Settings(cancel_grace=1)) as runtime:
        ref = runtime.ref("agent", "u1")
        pending = await ref.submit("hello")
        await asyncio.sleep(tenths / 10)
        aborted = await ref.abort()
        try:
            told = (await pending.result()).text
        except FlueError as error:
            told = error.type
        assert told == ("aborted" if aborted else "done")
        assert (await kinds_stored(runtime.store)).count("settled") <= 1
        info = await ref.submission(pending.submission_id)
        assert info.outcome == ("aborted" if aborted else "completed")
