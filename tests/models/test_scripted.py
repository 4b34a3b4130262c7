import asyncio
from collections.abc import AsyncGenerator

import msgspec
import pytest

from flue_actors.errors import ConfigError, ContextOverflowError, ModelError, ModelOverloadedError, ModelRefusedError
from flue_actors.messages import Message, SignalMessage, TextContent, ToolCall, Usage
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.protocol import ModelEvent, ModelRequest, ReplyDone, TextDelta, ThinkingEnd, ThinkingStart
from flue_actors.models.scripted import ScriptedProvider
from flue_actors.models.scripted_replies import JOKES, scripted_name
from flue_actors.testing import ScriptedModel
from tests.models.helpers import asking, assistant, done_of, events_of, reply_of, result, streamed


async def _text(provider: ScriptedProvider, *messages: Message | str, model: str = "echo") -> str:
    return streamed(await events_of(provider, asking(*messages, model=model)))


async def test_echo_tells_what_it_was_sent_and_how_many_messages_it_saw() -> None:
    provider = ScriptedProvider()
    assert await _text(provider, "hello") == "echo: hello (1 messages)"
    assert await _text(provider, "hello", assistant(TextContent(text="hi")), "again") == "echo: again (3 messages)"


async def test_the_last_event_is_the_whole_reply() -> None:
    events = await events_of(ScriptedProvider(), asking("hello", model="echo"))
    done = done_of(events)
    assert done.content == (TextContent(text=streamed(events)),)
    assert done.stop_reason == "stop"


async def test_usage_is_a_quarter_of_the_characters_and_has_no_cost() -> None:
    usage = (await reply_of(ScriptedProvider(), asking("12345", model="echo"))).usage
    assert (usage.input, usage.output, usage.total_tokens, usage.cost) == (2, 6, 8, None)


async def test_usage_goes_on_from_what_the_last_reply_accounted_for() -> None:
    provider = ScriptedProvider()
    first = await reply_of(provider, asking("12345", model="echo"))
    said = msgspec.structs.replace(assistant(*first.content), usage=first.usage)
    second = await reply_of(provider, asking("12345", said, "1234", model="echo"))
    assert second.usage.input == first.usage.total_tokens + 1


async def test_the_same_text_gets_the_same_joke() -> None:
    provider = ScriptedProvider()
    first = await _text(provider, "tell me a joke", model="jokes")
    assert first in JOKES
    assert await _text(provider, "tell me a joke", model="jokes") == first


async def test_paced_streams_so_many_deltas_of_that_size() -> None:
    events = await events_of(ScriptedProvider(), asking("go", model="paced?deltas=7&rate=5000&size=3"))
    assert [len(event.text) for event in events if isinstance(event, TextDelta)] == [3] * 7


async def test_paced_keeps_its_rate() -> None:
    clock = asyncio.get_running_loop().time
    started = clock()
    await events_of(ScriptedProvider(), asking("go", model="paced?deltas=10&rate=200"))
    assert clock() - started >= 10 / 200 - 0.005


async def test_tool_calls_and_then_an_answer_with_their_results() -> None:
    provider = ScriptedProvider()
    script = 'call add {"a": 1}\ncall add {"a": 2}'
    reply = await reply_of(provider, asking(script, model="echo"))
    calls = [block for block in reply.content if isinstance(block, ToolCall)]
    assert reply.stop_reason == "toolUse"
    assert [call.arguments for call in calls] == [{"a": 1}, {"a": 2}]
    history = (script, assistant(*calls), result(calls[0].id, "one"), result(calls[1].id, "two"))
    assert await _text(provider, *history) == "echo: one\ntwo (4 messages)"


async def test_a_loop_calls_again_after_every_result() -> None:
    provider = ScriptedProvider()
    history: list[Message | str] = ["loop poll"]
    ids: set[str] = set()
    for _ in range(3):
        reply = await reply_of(provider, asking(*history, model="echo"))
        (call,) = reply.content
        assert isinstance(call, ToolCall)
        ids.add(call.id)
        history += [assistant(call), result(call.id, "not yet")]
    assert len(ids) == 3


async def test_a_fault_with_a_count_passes_after_so_many_attempts() -> None:
    provider = ScriptedProvider()
    request = asking("fail 529 x2", model="echo")
    for _ in range(2):
        with pytest.raises(ModelOverloadedError) as failed:
            await events_of(provider, request)
        assert failed.value.retryable
    assert await reply_of(provider, request)
    with pytest.raises(ModelOverloadedError):
        await events_of(provider, request)


async def test_conversations_count_their_attempts_apart() -> None:
    provider = ScriptedProvider()
    for affinity in ("one", "two"):
        with pytest.raises(ModelOverloadedError):
            await events_of(provider, asking("fail 529 x1", model="echo", affinity=affinity))


async def test_a_failure_carries_its_status_and_retry_after() -> None:
    with pytest.raises(ModelError) as failed:
        await events_of(ScriptedProvider(), asking("fail 429 after 3", model="echo"))
    assert failed.value.retry_after == 3
    with pytest.raises(ModelError) as failed:
        await events_of(ScriptedProvider(), asking("fail 400", model="echo"))
    assert not failed.value.retryable


async def test_half_an_answer_streams_and_then_breaks_off() -> None:
    seen: list[ModelEvent] = []
    with pytest.raises(ModelError) as failed:
        async for event in ScriptedProvider().stream(asking("a longer text to answer\nhalf", model="echo")):
            seen.append(event)
    assert failed.value.retryable
    assert streamed(seen)
    assert not any(isinstance(event, ReplyDone) for event in seen)


async def test_hang_never_answers_until_cancelled() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await events_of(ScriptedProvider(), asking("hang", model="echo"))


async def test_refuse_length_and_empty_end_as_they_say() -> None:
    provider = ScriptedProvider()
    with pytest.raises(ModelRefusedError):
        await events_of(provider, asking("refuse", model="echo"))
    assert (await reply_of(provider, asking("length", model="echo"))).stop_reason == "length"
    assert (await reply_of(provider, asking("empty", model="echo"))).content == ()


async def test_thinking_comes_before_the_answer() -> None:
    events = await events_of(ScriptedProvider(), asking("think it over", model="echo"))
    assert isinstance(events[0], ThinkingStart)
    assert ThinkingEnd("it over") in events


async def test_a_dispatched_json_string_is_a_script_too() -> None:
    signal = SignalMessage(type="dispatch_input", content='"call add"', timestamp=0)
    assert (await reply_of(ScriptedProvider(), asking(signal, model="echo"))).stop_reason == "toolUse"


@pytest.mark.parametrize(
    "name",
    ["nix", "echo?speed=1", "paced?rate=fast", "paced?size=0", "paced?deltas=-1", "echo?rate=inf", "echo?window=-1"],
)
def test_unknown_models_and_options_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="scripted/"):
        scripted_name(name)


async def test_a_scripted_model_plays_its_replies_in_order_and_records() -> None:
    call = ToolCall(id="c1", name="add", arguments={})
    model = ScriptedModel(["one", call, [TextContent(text="three")]])
    replies = [await reply_of(model, asking(text)) for text in ("a", "b", "c")]
    assert [reply.content for reply in replies] == [(TextContent(text="one"),), (call,), (TextContent(text="three"),)]
    assert [reply.stop_reason for reply in replies] == ["stop", "toolUse", "stop"]
    assert [request.messages[-1].content for request in model.requests] == [(TextContent(text=t),) for t in "abc"]


async def test_a_scripted_model_raises_its_errors_and_fails_when_it_runs_out() -> None:
    model = ScriptedModel([ModelOverloadedError(retryable=True)])
    with pytest.raises(ModelOverloadedError):
        await events_of(model, asking("a"))
    with pytest.raises(ModelError) as failed:
        await events_of(model, asking("b"))
    assert "no reply left" in failed.value.message


async def test_a_scripted_model_can_play_a_stream_of_your_own_and_counts_abandoned_ones() -> None:
    async def endless(request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        while True:
            yield TextDelta("more")
            await asyncio.sleep(0)

    model = ScriptedModel([endless])
    stream = model.stream(asking("a"))
    assert await anext(stream) == TextDelta("more")
    await stream.aclose()
    assert model.closed == 1


async def test_an_answer_is_given_word_for_word_and_before_calls() -> None:
    provider = ScriptedProvider()
    script = 'answer Looking.\ncall read\nanswer {"n": 1}'
    reply = await reply_of(provider, asking(script, model="echo"))
    assert [type(block) for block in reply.content] == [TextContent, ToolCall]
    calls = [block for block in reply.content if isinstance(block, ToolCall)]
    history = (script, assistant(*reply.content), result(calls[0].id, "one"))
    assert await _text(provider, *history) == '{"n": 1}'


async def test_a_context_beyond_the_window_is_too_long_and_a_shorter_one_is_not() -> None:
    provider = ScriptedProvider()
    with pytest.raises(ContextOverflowError) as failed:
        await events_of(provider, asking("x" * 404, model="echo?window=100"))
    assert not failed.value.retryable
    reply = await reply_of(provider, asking("x" * 400, model="echo?window=100"))
    assert reply.usage.input == 100


async def test_with_a_window_a_shortened_history_counts_as_short_as_it_looks() -> None:
    old = msgspec.structs.replace(assistant(TextContent(text="hi")), usage=Usage(total_tokens=5_000))
    reply = await reply_of(ScriptedProvider(), asking("a", old, "b", model="echo?window=100"))
    assert reply.usage.input < 10


async def test_a_status_that_means_too_long_is_an_overflow() -> None:
    with pytest.raises(ContextOverflowError):
        await events_of(ScriptedProvider(), asking("fail 413", model="echo"))


def test_window_and_native_results_are_facts_of_the_model() -> None:
    info = scripted_name("echo?window=2000&native=1").info
    assert (info.context_window, info.native_results) == (2_000, True)
    assert scripted_name("echo").info == ModelInfo()


async def test_a_model_that_shall_not_call_tools_answers() -> None:
    reply = await reply_of(ScriptedProvider(), asking("loop add", model="echo", use_tools=False))
    assert (reply.stop_reason, [type(block) for block in reply.content]) == ("stop", [TextContent])
