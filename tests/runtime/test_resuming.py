"""An interrupted input goes on where it was: one test for every row of the table in `conversation.resumption`."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flue_actors import Durability, create_agent, tool
from flue_actors.conversation.entries import message_entry
from flue_actors.errors import AbortedError, AttemptsExhaustedError, DeadlineExceededError, TurnLimitError
from flue_actors.events import Event, StreamInterrupted
from flue_actors.messages import AssistantMessage, TextContent, ToolCall, Usage, text_of
from flue_actors.models.protocol import ModelEvent, ModelRequest, ReplyDone, TextDelta
from flue_actors.runtime import Runtime
from flue_actors.storage import Append
from flue_actors.testing import ScriptedModel
from tests.conversation.build import reply
from tests.runtime.machine import U1, kinds_stored, machine, results_in, shown, signals, texts
from tests.runtime.replies import half, hang
from tests.runtime.support import virtual_time

CALL = ToolCall(id="1", name="note", arguments={})


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@tool
async def note() -> str:
    """Take a note."""
    return "noted"


def agent(model: ScriptedModel, **fields: Any) -> Any:
    return create_agent(model=model, instructions="", **fields)


def said(text: str, *, tokens: int = 0) -> ReplyDone:
    return ReplyDone(content=(TextContent(text=text),), stop_reason="stop", usage=Usage(input=tokens))


@virtual_time
async def test_what_was_accepted_and_not_begun_runs_as_if_nothing_had_been() -> None:
    model = ScriptedModel([hang, "first", "second"])
    async with machine(agent(model)) as one:
        runtime = await one.start()
        ref = runtime.ref("agent", "u1")
        await ref.submit("one")
        waiting = await ref.submit("two")
        await asyncio.sleep(1)
        runtime = await one.restart()
        assert (await runtime.ref("agent", "u1").wait(waiting.submission_id)).text == "second"
        row = await one.row(waiting.submission_id)
        assert (row.attempt, row.outcome) == (1, "completed")


@virtual_time
async def test_what_was_asked_and_not_answered_is_asked_again() -> None:
    model = ScriptedModel([hang, "back"])
    async with machine(agent(model)) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        await asyncio.sleep(1)
        runtime = await one.restart()
        ref = runtime.ref("agent", "u1")
        assert (await ref.wait(pending.submission_id)).text == "back"
        assert model.requests[0].messages == model.requests[1].messages
        assert await texts(ref) == ["hello", "back"]
        assert await kinds_stored(one.store) == ["user", "resumed", "assistant", "settled"]


@virtual_time
async def test_a_reply_that_was_being_streamed_is_kept_marked_and_continued() -> None:
    model = ScriptedModel([half, "forty-two."])
    async with machine(agent(model)) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        await asyncio.sleep(5)
        runtime = await one.restart()
        ref = runtime.ref("agent", "u1")
        answer = await ref.wait(pending.submission_id)
        assert answer.text == "The answer is forty-two."
        (asked, piece, _, rest) = await shown(ref)
        assert isinstance(piece, AssistantMessage)
        assert (piece.stop_reason, text_of(piece), text_of(rest)) == ("aborted", "The answer is ", "forty-two.")
        assert await signals(one.store) == ["stream_interrupted"]
        assert [text_of(each) for each in model.requests[1].messages[:2]] == [text_of(asked), "The answer is "]


@virtual_time
async def test_a_reply_that_was_cut_off_twice_is_whole_in_the_result() -> None:
    async def more(_: ModelRequest) -> AsyncIterator[ModelEvent]:
        yield TextDelta("forty-")
        await asyncio.Event().wait()

    async with machine(agent(ScriptedModel([half, more, "two."]))) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        await asyncio.sleep(5)
        await one.restart()
        await asyncio.sleep(5)
        runtime = await one.restart()
        assert (await runtime.ref("agent", "u1").wait(pending.submission_id)).text == "The answer is forty-two."


@virtual_time
async def test_an_orderly_stop_keeps_what_was_streamed_up_to_the_last_letter() -> None:
    async with machine(agent(ScriptedModel([half, "forty-two."]))) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        await asyncio.sleep(0.01)
        await one.stop()
        runtime = await one.start()
        assert (await runtime.ref("agent", "u1").wait(pending.submission_id)).text == "The answer is forty-two."


@virtual_time
async def test_a_final_reply_that_is_recorded_is_only_settled() -> None:
    async with machine(agent(ScriptedModel([hang]))) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        await asyncio.sleep(1)
        await one.crash()
        fence = await one.store.open()
        last = message_entry(2, reply("done"), "model", submission_id=pending.submission_id)
        rows = Append(key=U1, session="default", entries=(last,), submission_id=pending.submission_id, attempt=1)
        await one.store.commit(fence, rows)
        await one.store.close()
        ref = (await one.start(agent(ScriptedModel()))).ref("agent", "u1")
        assert (await ref.wait(pending.submission_id)).text == "done"
        assert await texts(ref) == ["hello", "done"]


@virtual_time
async def test_a_call_without_a_result_is_told_to_be_of_unknown_outcome() -> None:
    @tool
    async def pay() -> str:
        """Pay."""
        ran.append("pay")
        await asyncio.Event().wait()
        return "never"

    ran: list[str] = []
    model = ScriptedModel([[CALL, ToolCall(id="2", name="pay", arguments={})], "I do not know."])
    async with machine(agent(model, tools=[note, pay])) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("pay")
        await asyncio.sleep(1)
        ref = (await one.restart()).ref("agent", "u1")
        assert (await ref.wait(pending.submission_id)).text == "I do not know."
        (noted, paid) = results_in(await shown(ref))
        assert noted == "noted"
        assert "outcome is unknown" in paid
        assert ran == ["pay"]


@virtual_time
async def test_a_tool_that_may_run_twice_does() -> None:
    @tool(idempotent=True)
    async def look() -> str:
        """Look."""
        ran.append("look")
        if len(ran) == 1:
            await asyncio.Event().wait()
        return "seen"

    ran: list[str] = []
    model = ScriptedModel([ToolCall(id="1", name="look", arguments={}), "ok"])
    async with machine(agent(model, tools=[look])) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("look")
        await asyncio.sleep(1)
        ref = (await one.restart()).ref("agent", "u1")
        assert (await ref.wait(pending.submission_id)).text == "ok"
        assert (ran, results_in(await shown(ref))) == (["look", "look"], ["seen"])


@virtual_time
async def test_an_abort_that_was_noted_before_the_crash_holds_after_it() -> None:
    model = ScriptedModel([half])
    async with machine(agent(model)) as one:
        runtime = await one.start()
        ref = runtime.ref("agent", "u1")
        pending = await ref.submit("hello")
        await asyncio.sleep(5)
        aborting = asyncio.ensure_future(ref.abort(reason="enough"))
        await asyncio.sleep(0)
        assert one.process is not None
        one.process.died.set()  # after the wish, before the outcome
        with pytest.raises((AbortedError, Exception)):
            await aborting
            await pending.result()
        ref = (await one.restart()).ref("agent", "u1")
        with pytest.raises(AbortedError) as told:
            await ref.wait(pending.submission_id)
        assert told.value.meta == {"reason": "enough"}
        assert (await texts(ref))[:2] == ["hello", "The answer is "]
        assert len(model.requests) == 1


@virtual_time
async def test_an_input_that_ends_its_process_every_time_is_given_up() -> None:
    hangs = [hang] * 3
    async with machine(agent(ScriptedModel(hangs), durability=Durability(attempts=3))) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        for _ in range(2):
            await asyncio.sleep(1)
            await one.restart()
        await asyncio.sleep(1)
        ref = (await one.restart()).ref("agent", "u1")
        with pytest.raises(AttemptsExhaustedError) as told:
            await ref.wait(pending.submission_id)
        assert told.value.meta == {"attempts": 3}
        assert await signals(one.store) == ["submission_interrupted"]


@virtual_time
async def test_an_orderly_stop_costs_no_attempt() -> None:
    replies = [*[hang] * 5, "at last"]
    async with machine(agent(ScriptedModel(replies), durability=Durability(attempts=1))) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        for _ in range(4):
            await asyncio.sleep(1)
            await one.stop()
            await one.start()
        await asyncio.sleep(1)
        await one.stop()
        runtime = await one.start()
        assert (await runtime.ref("agent", "u1").wait(pending.submission_id)).text == "at last"
        row = await one.row(pending.submission_id)
        assert (row.attempt, row.excused) == (6, 5)


@virtual_time
async def test_the_time_budget_counts_work_over_all_attempts_and_not_the_time_between() -> None:
    async with machine(agent(ScriptedModel([half, hang]), durability=Durability(timeout=10))) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        await asyncio.sleep(6)
        await one.stop()
        await asyncio.sleep(1000)
        runtime = await one.start()
        began = asyncio.get_running_loop().time()
        with pytest.raises(DeadlineExceededError):
            await runtime.ref("agent", "u1").wait(pending.submission_id)
        assert asyncio.get_running_loop().time() - began == pytest.approx(4, abs=0.1)


@virtual_time
async def test_a_budget_that_is_spent_at_the_start_ends_the_input_without_a_model_call() -> None:
    model = ScriptedModel([half])
    async with machine(agent(model, durability=Durability(timeout=100))) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        await asyncio.sleep(50)
        await one.stop()
        runtime = await one.start(agent(model, durability=Durability(timeout=40)))
        with pytest.raises(DeadlineExceededError):
            await runtime.ref("agent", "u1").wait(pending.submission_id)
        assert len(model.requests) == 1


@virtual_time
async def test_model_calls_of_earlier_attempts_count() -> None:
    async with machine(agent(ScriptedModel([CALL, hang, CALL, "one too many"]), tools=[note], max_turns=2)) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        await asyncio.sleep(1)
        runtime = await one.restart()
        with pytest.raises(TurnLimitError):
            await runtime.ref("agent", "u1").wait(pending.submission_id)


@virtual_time
async def test_usage_is_the_sum_over_all_attempts() -> None:
    first = ReplyDone(content=(CALL,), stop_reason="toolUse", usage=Usage(input=7))
    async with machine(agent(ScriptedModel([first, hang, said("ok", tokens=5)]), tools=[note])) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        await asyncio.sleep(1)
        runtime = await one.restart()
        assert (await runtime.ref("agent", "u1").wait(pending.submission_id)).usage.input == 12


@virtual_time
async def test_who_observes_is_told_of_the_new_attempt() -> None:
    found: list[Event] = []

    def watch(runtime: Runtime) -> None:
        runtime.observe(found.append)

    async with machine(agent(ScriptedModel([half, "forty-two."]))) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("hello")
        await asyncio.sleep(5)
        await one.crash()
        runtime = await one.start(before=watch)
        await runtime.ref("agent", "u1").wait(pending.submission_id)
    (told,) = [event for event in found if isinstance(event, StreamInterrupted)]
    assert (told.attempt, told.kept, told.submission_id) == (2, True, pending.submission_id)
