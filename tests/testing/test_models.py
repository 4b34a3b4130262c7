"""Models that answer what the test says."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from flue_actors import create_agent, tool
from flue_actors.errors import ModelError, ModelOverloadedError
from flue_actors.events import TextDelta as TextDeltaEvent
from flue_actors.messages import TextContent, ThinkingContent, ToolCall, Usage, text_of
from flue_actors.models.protocol import ModelEvent, ModelRequest, ReplyDone, TextDelta
from flue_actors.testing import FunctionModel, Machine, ScriptedModel, calls, in_virtual_time, reply, thinks
from tests.models.helpers import asking, events_of, reply_of, streamed

ASKED = asking("hello")


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADDER = create_agent(model="anthropic/claude-haiku-4-5", instructions="Add.", tools=[add])


async def test_a_string_is_a_text_streamed_in_pieces() -> None:
    events = await events_of(ScriptedModel(["Hello there!"], size=5), ASKED)
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hello", " ther", "e!"]
    assert isinstance(events[-1], ReplyDone)


async def test_several_parts_are_one_reply_and_calls_get_ids_of_their_own() -> None:
    done = await reply_of(ScriptedModel([(thinks("Hm."), calls("add", a=1), "On it.", calls("add", a=2))]), ASKED)
    thought, first, said, second = done.content
    assert isinstance(thought, ThinkingContent)
    assert said == TextContent(text="On it.")
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert (first.arguments, second.arguments) == ({"a": 1}, {"a": 2})
    assert "" != first.id != second.id != ""
    assert done.stop_reason == "toolUse"


async def test_usage_and_stop_reason_can_be_set() -> None:
    usage = Usage(input=10, output=3, total_tokens=13)
    done = await reply_of(ScriptedModel([reply("Hel", usage=usage, stop_reason="length")]), ASKED)
    assert (done.usage, done.stop_reason) == (usage, "length")


async def test_an_exception_is_raised_in_place_of_a_reply() -> None:
    model = ScriptedModel([ModelOverloadedError(retry_after=3), "later"])
    with pytest.raises(ModelOverloadedError):
        await events_of(model, ASKED)
    assert streamed(await events_of(model, ASKED)) == "later"
    assert (model.left, len(model.requests)) == (0, 2)


async def test_a_reply_can_be_a_function_of_the_request() -> None:
    model = ScriptedModel([lambda request: f"you said {text_of(request.messages[-1])}"])
    assert streamed(await events_of(model, ASKED)) == "you said hello"


async def test_a_function_may_be_async_or_stream_its_own_events() -> None:
    async def slowly(request: ModelRequest) -> str:
        await asyncio.sleep(0)
        return f"{len(request.messages)} message"

    async def oddly(_: ModelRequest) -> AsyncGenerator[ModelEvent]:
        yield TextDelta("odd")

    assert streamed(await events_of(FunctionModel(slowly), ASKED)) == "1 message"
    assert await events_of(FunctionModel(oddly), ASKED) == [TextDelta("odd")]


async def test_a_stream_that_is_left_before_its_end_is_counted() -> None:
    model = ScriptedModel(["a long answer"], size=1)
    stream = model.stream(ASKED)
    await anext(stream)
    await stream.aclose()
    assert model.closed == 1


async def test_a_script_that_has_run_out_says_so() -> None:
    with pytest.raises(ModelError, match="no reply left for request 1"):
        await events_of(ScriptedModel(), ASKED)


@in_virtual_time
async def test_an_agent_calls_its_tools_as_scripted() -> None:
    model = ScriptedModel([(calls("add", a=1, b=2), calls("add", a=3, b=4)), "3 and 7"])
    async with Machine({"adder": ADDER}, models=model) as machine:
        assert (await machine.ref("adder", "u1").prompt("1 + 2, 3 + 4")).text == "3 and 7"
    assert [text_of(each) for each in model.requests[1].messages[-2:]] == ["3", "7"]
    assert [spec.name for spec in model.requests[0].tools] == ["add"]


@in_virtual_time
async def test_pieces_reach_whoever_watches() -> None:
    async with Machine({"adder": ADDER}, models=ScriptedModel(["abcd"], size=2)) as machine:
        seen = [e.text async for e in machine.ref("adder", "u1").stream("hi") if isinstance(e, TextDeltaEvent)]
    assert seen == ["ab", "cd"]


@in_virtual_time
async def test_running_out_of_replies_fails_a_test_that_awaits_nothing() -> None:
    async def scenario() -> None:
        async with Machine({"adder": ADDER}, models=ScriptedModel()) as machine:
            await machine.runtime.dispatch("adder", id="u1", input="hi")
            await asyncio.sleep(1)

    with pytest.raises(ModelError, match="no reply left"):
        await scenario()


@in_virtual_time
async def test_a_mistake_in_a_model_function_fails_the_test_with_that_mistake() -> None:
    def wrong(request: ModelRequest) -> str:
        raise AssertionError(f"{len(request.tools)} tools")

    async def scenario() -> None:
        async with Machine({"adder": ADDER}, models=FunctionModel(wrong)) as machine:
            with pytest.raises(ModelError, match="1 tools"):
                await machine.ref("adder", "u1").prompt("hi")

    with pytest.raises(AssertionError, match="1 tools"):
        await scenario()


@pytest.mark.parametrize("written", [None, 3, b"hi", ["hi", 3], {"text": "hi"}])
@in_virtual_time
async def test_what_is_no_reply_is_called_so_and_fails_the_test(written: Any) -> None:
    async def scenario() -> None:
        async with Machine({"adder": ADDER}, models=ScriptedModel([written])) as machine:
            await machine.runtime.dispatch("adder", id="u1", input="hi")
            await asyncio.sleep(1)

    with pytest.raises(ModelError, match=r"is no reply: write text, calls"):
        await scenario()


@in_virtual_time
async def test_an_error_that_a_script_asks_for_is_no_complaint() -> None:
    async with Machine({"adder": ADDER}, models=ScriptedModel([ModelError("Out of order.")])) as machine:
        with pytest.raises(ModelError, match="Out of order"):
            await machine.ref("adder", "u1").prompt("hi")
    assert machine.complaints == []
