"""The real SDK against the local Messages-API server, over a real socket."""

import asyncio
import base64
from contextlib import aclosing

import pytest

from flue_actors.errors import ContextOverflowError, ModelError, ModelOverloadedError, ModelRefusedError
from flue_actors.messages import TextContent, ThinkingContent, ToolCall, UserMessage
from flue_actors.models.anthropic.client import MESSAGES
from flue_actors.models.catalog import UNKNOWN
from flue_actors.models.http_client import HttpModelClient
from flue_actors.models.protocol import ModelClient, ModelRequest, TextDelta
from flue_actors.models.registry import ModelRegistry
from flue_actors.models.transport import Transport
from tests.messages_api import PROVIDER_TEXT, Fault, FaultKind, MessagesServer, Settings, messages_server
from tests.models.helpers import (
    FILES,
    PNG,
    anthropic_model,
    asking,
    assistant,
    done_of,
    events_of,
    reply_of,
    result,
    streamed,
    tool,
)


async def _failure(client: ModelClient, request: ModelRequest) -> ModelError:
    with pytest.raises(ModelError) as failed:
        await events_of(client, request)
    error = failed.value
    assert PROVIDER_TEXT not in error.message + error.details
    assert "sk-canary" not in error.message + error.details + error.dev
    return error


async def _until_idle(server: MessagesServer) -> None:
    """The server noticed that the client left."""
    async with asyncio.timeout(5):
        while server.streaming:
            await asyncio.sleep(0.001)


async def test_an_answer_is_streamed_and_whole() -> None:
    async with anthropic_model() as (model, _):
        events = await events_of(model.client, asking("hello"))
        assert streamed(events) == "echo: hello (1 messages)"
        done = done_of(events)
        assert done.content == (TextContent(text="echo: hello (1 messages)"),)
        assert done.usage.total_tokens > 0


async def test_the_request_carries_key_version_and_body() -> None:
    async with anthropic_model() as (model, server):
        await reply_of(model.client, asking("hello", instructions="Be kind.", tools=(tool("add"),)))
        request = server.requests[0]
        assert "sk-canary" in request.headers.get("x-api-key", "") + request.headers.get("authorization", "")
        assert request.headers["anthropic-version"]
        assert request.headers["content-type"] == "application/json"
        assert request.body["stream"] is True
        assert request.body["model"] == model.model
        assert request.body["max_tokens"] == 64_000


async def test_reasoning_calls_and_results_go_back_and_forth() -> None:
    async with anthropic_model() as (model, _):
        script = 'think it over\ncall add {"a": 1}\ncall add {"a":'
        reply = await reply_of(model.client, asking(script))
        thinking, first, broken = reply.content
        assert isinstance(thinking, ThinkingContent)
        assert thinking.signature
        assert isinstance(first, ToolCall)
        assert isinstance(broken, ToolCall)
        assert (first.arguments, broken.invalid) == ({"a": 1}, '{"a":')
        history = (script, assistant(*reply.content), result(first.id, "3"), result(broken.id, "bad", is_error=True))
        assert streamed(await events_of(model.client, asking(*history))) == "echo: 3\nbad (3 messages)"


@pytest.mark.parametrize("status", [408, 409, 500, 502, 529])
async def test_a_passing_failure_is_retryable_and_the_next_call_works(status: int) -> None:
    async with anthropic_model() as (model, server):
        server.fail(Fault("status", status=status))
        assert (await _failure(model.client, asking("hi"))).retryable
        assert await reply_of(model.client, asking("hi"))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
async def test_a_final_failure_is_not_retryable_and_says_why_to_the_developer(status: int) -> None:
    async with anthropic_model() as (model, server):
        server.fail(Fault("status", status=status))
        error = await _failure(model.client, asking("hi"))
        assert not error.retryable
        assert str(status) in error.dev
        assert PROVIDER_TEXT in error.dev


async def test_the_client_never_retries_by_itself() -> None:
    async with anthropic_model() as (model, server):
        server.fail(Fault("status", status=529), Fault("status", status=529))
        await _failure(model.client, asking("hi"))
        assert server.count == 1


async def test_a_rate_limit_names_its_retry_after_and_shuts_the_gate() -> None:
    async with anthropic_model() as (model, server):
        server.fail(Fault("status", status=429, retry_after=0.05))
        with pytest.raises(ModelOverloadedError) as failed:
            async with model.limiter.slot():
                await events_of(model.client, asking("hi"))
        assert failed.value.retry_after == 0.05
        assert model.limiter.statistics().held == 1


async def test_a_wrong_key_is_final() -> None:
    async with anthropic_model(Settings(api_key="another")) as (model, _):
        error = await _failure(model.client, asking("hi"))
        assert not error.retryable
        assert "authentication_error" in error.dev


@pytest.mark.parametrize("kind", ["half", "short", "reset", "malformed", "overloaded"])
async def test_a_stream_that_breaks_is_retryable_and_the_next_call_works(kind: FaultKind) -> None:
    async with anthropic_model() as (model, server):
        server.fail(Fault(kind))
        assert (await _failure(model.client, asking("a longer text, so that there is something to cut"))).retryable
        assert await reply_of(model.client, asking("hi"))


async def test_text_before_the_break_is_streamed() -> None:
    async with anthropic_model(Settings(deltas=20, rate=500)) as (model, server):
        server.fail(Fault("reset"))
        seen: list[object] = []
        with pytest.raises(ModelError):
            async for event in model.client.stream(asking("hi")):
                seen.append(event)
        assert any(isinstance(event, TextDelta) for event in seen)


async def test_an_overload_in_the_middle_has_its_own_class() -> None:
    async with anthropic_model() as (model, server):
        server.fail(Fault("overloaded"))
        assert isinstance(await _failure(model.client, asking("hi")), ModelOverloadedError)


async def test_a_server_that_is_not_there_is_retryable() -> None:
    registry = ModelRegistry()
    registry.configure_provider("anthropic", base_url="http://127.0.0.1:9", api_key="sk-canary")
    error = await _failure(registry.resolve("anthropic/m").client, asking("hi"))
    assert error.retryable
    await registry.aclose()


@pytest.mark.parametrize("fault", [Fault("silence"), Fault("slow", seconds=60)], ids=["silence", "slow first byte"])
async def test_a_silent_stream_can_be_cancelled_and_is_closed(fault: Fault) -> None:
    async with anthropic_model() as (model, server):
        await reply_of(model.client, asking("hi"))  # opens the SDK, which takes its time
        server.fail(fault)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await events_of(model.client, asking("hi"))
        await _until_idle(server)
        assert server.abandoned == 1
        assert await reply_of(model.client, asking("hi"))


async def test_leaving_the_stream_early_closes_it_at_once() -> None:
    async with anthropic_model(Settings(deltas=1000, rate=100)) as (model, server):
        async with aclosing(model.client.stream(asking("hi"))) as stream:
            assert isinstance(await anext(stream), TextDelta)
        await _until_idle(server)
        assert server.abandoned == 1


async def test_a_slow_first_byte_is_waited_for() -> None:
    async with anthropic_model(Settings(delay=0.05)) as (model, _):
        assert await reply_of(model.client, asking("hi"))


async def test_a_model_that_writes_long_arguments_does_not_look_silent() -> None:
    async with messages_server(Settings(rate=500)) as server:
        transport = Transport(base_url=server.url, api_key="sk-canary")
        client = HttpModelClient(MESSAGES, transport, lambda _: UNKNOWN, max_connections=1, pulse=0.01)
        events = await events_of(client, asking(f'call add {{"text": "{"x" * 500}"}}'))
        assert events.count(TextDelta("")) >= 3
        assert streamed(events) == ""
        await client.aclose()


async def test_refusal_length_and_empty_are_told_apart() -> None:
    async with anthropic_model() as (model, _):
        assert isinstance(await _failure(model.client, asking("refuse")), ModelRefusedError)
        assert (await reply_of(model.client, asking("length"))).stop_reason == "length"
        assert (await reply_of(model.client, asking("empty"))).content == ()


async def test_one_connection_serves_turn_after_turn() -> None:
    async with anthropic_model() as (model, server):
        for _ in range(20):
            await reply_of(model.client, asking("hi"))
        assert server.connections == 1


async def test_a_connection_serves_on_even_if_the_response_ends_after_the_reply() -> None:
    async with anthropic_model() as (model, server):
        server.fail(Fault("late_end"))
        await reply_of(model.client, asking("hi"))
        await reply_of(model.client, asking("hi"))
        assert server.connections == 1


async def test_first_calls_at_the_same_time_share_one_pool() -> None:
    async with anthropic_model(max_concurrency=2) as (model, server):
        await asyncio.gather(*[reply_of(model.client, asking("hi")) for _ in range(10)])
        assert server.connections == 2


async def test_as_many_answers_stream_at_once_as_the_limiter_lets_through() -> None:
    async with anthropic_model(Settings(deltas=1_000, rate=1), max_concurrency=120) as (model, server):

        async def turn() -> None:
            async with model.limiter.slot():
                await events_of(model.client, asking("hi"))

        turns = [asyncio.ensure_future(turn()) for _ in range(130)]
        async with asyncio.timeout(30):
            while server.streaming < 120:
                await asyncio.sleep(0.01)
        assert model.limiter.statistics().waiting == 10
        for each in turns:
            each.cancel()
        await asyncio.wait(turns)


async def test_a_large_reply_arrives_whole() -> None:
    async with anthropic_model(Settings(deltas=3_000, size=1_000)) as (model, _):
        events = await events_of(model.client, asking("hi"))
        assert len(streamed(events)) == 3_000_000


async def test_what_the_server_would_refuse_in_a_history_is_seen() -> None:
    async with anthropic_model() as (model, _):
        orphan = asking("go", assistant(ToolCall(id="c1", name="add", arguments={})), "and now?")
        assert not (await _failure(model.client, orphan)).retryable


async def test_nothing_is_left_behind_after_closing() -> None:
    async with anthropic_model(Settings(deltas=3)) as (model, _):
        await reply_of(model.client, asking("hi"))
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_prompt_that_is_too_long_is_told_apart() -> None:
    async with anthropic_model(Settings(window=100)) as (model, _):
        assert isinstance(await _failure(model.client, asking("long " * 500)), ContextOverflowError)
        assert isinstance(await _failure(model.client, asking("fail 413")), ContextOverflowError)
        assert await reply_of(model.client, asking("hi"))


async def test_a_large_picture_arrives_whole_and_the_next_turn_reads_it_from_cache() -> None:
    async with anthropic_model() as (model, server):
        picture = UserMessage(content=(PNG, TextContent(text="What is this?")), timestamp=0)
        data = FILES[PNG.attachment] * 500_000
        attachments = {PNG.attachment: data}
        reply = await reply_of(model.client, asking(picture, attachments=attachments))
        sent = server.requests[0].body["messages"][0]["content"][0]["source"]["data"]
        assert base64.b64decode(sent) == data
        history = (picture, assistant(*reply.content), "and now?")
        await reply_of(model.client, asking(*history, attachments=attachments))
        assert server.requests[1].tokens.cache_read == server.requests[0].tokens.total


async def test_headers_of_the_environment_reach_only_their_own_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-secret: s\nX-Api-Key: theirs")
    async with messages_server() as server:
        registry = ModelRegistry()
        registry.register_provider("p", api="anthropic-messages", base_url=server.url, api_key="own")
        registry.configure_provider("anthropic", base_url=server.url, api_key="sk")
        await reply_of(registry.resolve("p/m").client, asking("hi"))
        await reply_of(registry.resolve("anthropic/m").client, asking("hi"))
        assert "x-secret" not in server.requests[0].headers
        assert server.requests[0].headers["x-api-key"] == "own"
        assert server.requests[1].headers["x-secret"] == "s"
        await registry.aclose()


async def test_a_model_that_shall_not_call_tools_answers() -> None:
    async with anthropic_model() as (model, _):
        request = asking("call add", tools=(tool("add"),), use_tools=False)
        assert (await reply_of(model.client, request)).stop_reason == "stop"


async def test_bytes_that_come_one_by_one_are_the_same_answer() -> None:
    async with anthropic_model() as (model, server):
        server.fail(Fault("dribble"))
        assert streamed(await events_of(model.client, asking("grüße"))) == "echo: grüße (1 messages)"
