"""The real openai SDK against a local chat-completions server, over a real socket."""

import asyncio
import base64
from contextlib import aclosing

import pytest

from flue_actors.errors import ContextOverflowError, ModelError, ModelOverloadedError, ModelRefusedError
from flue_actors.messages import Message, TextContent, ThinkingContent, ToolCall, ToolResultMessage
from flue_actors.models.catalog import UNKNOWN, ModelInfo
from flue_actors.models.http_client import HttpModelClient
from flue_actors.models.openai.client import COMPLETIONS
from flue_actors.models.protocol import ModelClient, ModelRequest, TextDelta
from flue_actors.models.registry import ModelRegistry
from flue_actors.models.transport import Transport
from tests.completions_api import PROVIDER_TEXT, ChatServer, ChatSettings, Fault, FaultKind, completions_server
from tests.models.helpers import (
    FILES,
    PNG,
    asking,
    assistant,
    chat_model,
    done_of,
    events_of,
    reply_of,
    result,
    streamed,
    tool,
    user,
)


async def _failure(client: ModelClient, request: ModelRequest) -> ModelError:
    with pytest.raises(ModelError) as failed:
        await events_of(client, request)
    error = failed.value
    assert PROVIDER_TEXT not in error.message + error.details
    assert "sk-canary" not in error.message + error.details + error.dev
    return error


async def _until_idle(server: ChatServer) -> None:
    """The server noticed that the client left."""
    async with asyncio.timeout(5):
        while server.streaming:
            await asyncio.sleep(0.001)


async def test_an_answer_is_streamed_and_whole() -> None:
    async with chat_model() as (model, _):
        events = await events_of(model.client, asking("hello"))
        assert streamed(events) == "echo: hello (1 messages)"
        assert done_of(events).content == (TextContent(text="echo: hello (1 messages)"),)
        assert done_of(events).usage.total_tokens > 0


async def test_the_request_carries_key_body_and_the_conversations_hash() -> None:
    async with chat_model() as (model, server):
        await reply_of(model.client, asking("hello", instructions="Be kind.", tools=(tool("add"),), affinity="ann@x"))
        request = server.requests[0]
        assert request.headers["authorization"] == "Bearer sk-canary"
        assert request.headers["content-type"] == "application/json"
        assert len(request.headers["x-session-affinity"]) == 32
        assert "ann@x" not in str(request.headers) + request.raw.decode()
        assert request.body["stream"] is True


async def test_reasoning_parallel_calls_and_results_go_back_and_forth() -> None:
    async with chat_model() as (model, server):
        script = 'think it over\nanswer Adding.\ncall add {"a": 1}\ncall add {"a":'
        reply = await reply_of(model.client, asking(script, model="small"))
        thinking, text, first, broken = reply.content
        assert isinstance(thinking, ThinkingContent)
        assert text == TextContent(text="Adding.")
        assert isinstance(first, ToolCall)
        assert isinstance(broken, ToolCall)
        assert (first.arguments, broken.invalid) == ({"a": 1}, '{"a":')
        said = assistant(*reply.content, api="openai-completions", model="small")
        history = (script, said, result(first.id, "3"), result(broken.id, "bad", is_error=True))
        events = await events_of(model.client, asking(*history, model="small"))
        assert streamed(events) == "echo: 3\nError: bad (4 messages)"
        assert server.requests[1].body["messages"][1]["reasoning_content"] == "it over"


async def test_pictures_of_a_result_arrive_and_the_script_goes_on() -> None:
    async with chat_model() as (model, server):
        call = ToolCall(id="c1", name="shot", arguments={})
        shot = ToolResultMessage(tool_call_id="c1", tool_name="shot", content=(PNG,), is_error=False, timestamp=0)
        data = FILES[PNG.attachment] * 500_000
        request = asking("call shot", assistant(call), shot, attachments={PNG.attachment: data})
        assert "[The pictures follow.]" in streamed(await events_of(model.client, request))
        url = server.requests[0].body["messages"][-1]["content"][1]["image_url"]["url"]
        assert base64.b64decode(url.partition(",")[2]) == data


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
async def test_a_passing_failure_is_retryable_and_the_next_call_works(status: int) -> None:
    async with chat_model() as (model, server):
        server.fail(Fault("status", status=status))
        assert (await _failure(model.client, asking("hi"))).retryable
        assert server.count == 1
        assert await reply_of(model.client, asking("hi"))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_final_failure_is_not_retryable_and_says_why_to_the_developer(status: int) -> None:
    async with chat_model() as (model, server):
        server.fail(Fault("status", status=status))
        error = await _failure(model.client, asking("hi"))
        assert not error.retryable
        assert str(status) in error.dev
        assert PROVIDER_TEXT in error.dev


async def test_a_rate_limit_names_its_retry_after_and_shuts_the_gate() -> None:
    async with chat_model() as (model, server):
        server.fail(Fault("status", status=429, retry_after=0.05))
        with pytest.raises(ModelOverloadedError) as failed:
            async with model.limiter.slot():
                await events_of(model.client, asking("hi"))
        assert failed.value.retry_after == 0.05
        assert model.limiter.statistics().held == 1


async def test_an_empty_account_is_no_overload() -> None:
    async with chat_model() as (model, server):
        server.fail(Fault("status", status=429, code="insufficient_quota"))
        error = await _failure(model.client, asking("hi"))
        assert not isinstance(error, ModelOverloadedError)
        assert not error.retryable


@pytest.mark.parametrize("coded", [True, False])
async def test_a_prompt_that_is_too_long_is_told_apart(coded: bool) -> None:
    async with chat_model(ChatSettings(window=100, coded=coded)) as (model, _):
        assert isinstance(await _failure(model.client, asking("long " * 500)), ContextOverflowError)
        assert await reply_of(model.client, asking("hi"))


async def test_filtered_prompts_replies_and_lengths_are_told_apart() -> None:
    async with chat_model() as (model, server):
        server.fail(Fault("status", status=400, code="content_filter"))
        assert isinstance(await _failure(model.client, asking("hi")), ModelRefusedError)
        assert isinstance(await _failure(model.client, asking("refuse")), ModelRefusedError)
        assert (await reply_of(model.client, asking("length"))).stop_reason == "length"
        assert (await reply_of(model.client, asking("empty"))).content == ()


async def test_a_wrong_key_is_final() -> None:
    async with chat_model(ChatSettings(api_key="another")) as (model, _):
        error = await _failure(model.client, asking("hi"))
        assert not error.retryable
        assert "invalid_api_key" in error.dev


@pytest.mark.parametrize("kind", ["half", "short", "reset", "malformed", "overloaded"])
async def test_a_stream_that_breaks_is_retryable_and_the_next_call_works(kind: FaultKind) -> None:
    async with chat_model() as (model, server):
        server.fail(Fault(kind))
        error = await _failure(model.client, asking("a longer text, so that there is something to cut"))
        assert error.retryable
        assert isinstance(error, ModelOverloadedError) == (kind == "overloaded")
        assert await reply_of(model.client, asking("hi"))


async def test_text_before_the_break_is_streamed() -> None:
    async with chat_model(ChatSettings(deltas=20, rate=500)) as (model, server):
        server.fail(Fault("reset"))
        seen: list[object] = []
        with pytest.raises(ModelError):
            async for event in model.client.stream(asking("hi")):
                seen.append(event)
        assert any(isinstance(event, TextDelta) for event in seen)


@pytest.mark.parametrize("fault", [Fault("silence"), Fault("slow", seconds=60)], ids=["silence", "slow first byte"])
async def test_a_silent_stream_can_be_cancelled_and_is_closed(fault: Fault) -> None:
    async with chat_model() as (model, server):
        await reply_of(model.client, asking("hi"))  # opens the SDK, which takes its time
        server.fail(fault)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await events_of(model.client, asking("hi"))
        await _until_idle(server)
        assert server.abandoned == 1
        assert await reply_of(model.client, asking("hi"))


async def test_leaving_the_stream_early_closes_it_at_once() -> None:
    async with chat_model(ChatSettings(deltas=1000, rate=100)) as (model, server):
        async with aclosing(model.client.stream(asking("hi"))) as stream:
            assert isinstance(await anext(stream), TextDelta)
        await _until_idle(server)
        assert server.abandoned == 1


async def test_a_model_that_writes_long_arguments_does_not_look_silent() -> None:
    async with completions_server(ChatSettings(rate=500)) as server:
        transport = Transport(base_url=f"{server.url}/v1")
        client = HttpModelClient(COMPLETIONS, transport, lambda _: UNKNOWN, max_connections=1, pulse=0.01)
        events = await events_of(client, asking(f'call add {{"text": "{"x" * 500}"}}'))
        assert events.count(TextDelta("")) >= 3
        await client.aclose()


async def test_a_server_without_an_end_mark_is_read_to_its_end() -> None:
    async with chat_model(ChatSettings(done=False)) as (model, server):
        for _ in range(3):
            await reply_of(model.client, asking("hi"))
        assert server.connections == 1


async def test_one_connection_serves_turn_after_turn() -> None:
    async with chat_model() as (model, server):
        server.fail(Fault("late_end"))
        for _ in range(20):
            await reply_of(model.client, asking("hi"))
        assert server.connections == 1


async def test_the_pool_is_as_large_as_the_limiter() -> None:
    async with chat_model(max_concurrency=2) as (model, server):
        await asyncio.gather(*[reply_of(model.client, asking("hi")) for _ in range(10)])
        assert server.connections == 2


async def test_a_result_is_asked_for_natively_where_the_model_promises_it() -> None:
    async with chat_model(models={"small": ModelInfo(native_results=True)}) as (model, server):
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
        reply = await reply_of(model.client, asking('answer {"n": 1}', model="small", result_schema=schema))
        assert reply.content == (TextContent(text='{"n": 1}'),)
        assert server.requests[0].body["response_format"]["type"] == "json_schema"


async def test_of_fifty_turns_at_least_95_percent_of_the_input_was_seen_before() -> None:
    async with chat_model() as (model, server):
        history: list[Message] = []
        for number in range(50):
            history.append(user(f"Question {number}: " + "and some words to make it a usual length. " * 5))
            request = asking(*history, instructions="You are brief. " * 40, tools=(tool("find"), tool("add")))
            reply = await reply_of(model.client, request)
            history.append(assistant(*reply.content))
        tokens = [request.tokens for request in server.requests]
        assert sum(t.cache_read for t in tokens) / sum(t.total for t in tokens) >= 0.95


async def test_a_server_of_your_own_needs_no_key_and_is_sent_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-environment")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-team: from-the-environment\nAuthorization: from-the-environment")
    async with chat_model(api_key=None) as (model, server):
        await reply_of(model.client, asking("hi"))
        assert "authorization" not in server.requests[0].headers
        assert "the-environment" not in str(server.requests[0].headers)


async def test_a_header_can_be_the_key() -> None:
    async with chat_model(api_key=None, headers={"authorization": "Bearer own"}) as (model, server):
        await reply_of(model.client, asking("hi"))
        assert server.requests[0].headers["authorization"] == "Bearer own"


async def test_openai_itself_is_spoken_to_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async with completions_server(ChatSettings(own=True)) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        registry = ModelRegistry()
        model = registry.resolve("openai/gpt-5.5")
        assert (model.client.api, model.info) == ("openai-completions", UNKNOWN)
        await reply_of(model.client, asking("hi", max_tokens=50, affinity="support/1"))
        request = server.requests[0]
        assert request.headers["authorization"] == "Bearer from-the-environment"
        assert request.body["max_completion_tokens"] == 50
        assert len(request.body["prompt_cache_key"]) == 32
        await registry.aclose()


async def test_openai_registered_anew_keeps_the_environments_key(monkeypatch: pytest.MonkeyPatch) -> None:
    async with completions_server(ChatSettings(own=True, api_key="from-the-environment")) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
        registry = ModelRegistry()
        registry.register_provider("openai", api="openai-completions", base_url=f"{server.url}/v1", max_tokens=50)
        await reply_of(registry.resolve("openai/gpt-5.5").client, asking("hi"))
        assert server.requests[0].body["max_completion_tokens"] == 50
        await registry.aclose()


@pytest.mark.parametrize("admin", [True, False])
async def test_a_missing_key_is_told_to_the_developer_not_to_the_caller(
    monkeypatch: pytest.MonkeyPatch, admin: bool
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if admin:
        monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin")
    registry = ModelRegistry()
    registry.register_provider("mine", api="openai-completions")
    for name in ("openai/gpt-5.5", "mine/gpt-5.5"):
        error = await _failure(registry.resolve(name).client, asking("hi"))
        assert "OPENAI_API_KEY" in error.dev
        assert not error.retryable
    await registry.aclose()


async def test_a_model_that_shall_not_call_tools_answers() -> None:
    async with chat_model() as (model, _):
        request = asking("call add", tools=(tool("add"),), use_tools=False)
        assert (await reply_of(model.client, request)).stop_reason == "stop"


async def test_bytes_that_come_one_by_one_are_the_same_answer() -> None:
    async with chat_model() as (model, server):
        server.fail(Fault("dribble"))
        assert streamed(await events_of(model.client, asking("grüße"))) == "echo: grüße (1 messages)"
