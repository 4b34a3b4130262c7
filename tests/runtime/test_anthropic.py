"""The whole runtime through the real Anthropic SDK, against a local server that speaks the Messages API."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from flue_actors import Runtime, create_agent, sqlite, tool
from flue_actors.errors import ModelRefusedError, ModelRejectedError
from flue_actors.events import TextDelta
from flue_actors.messages import ToolResultMessage, text_of
from tests.messages_api import Fault, MessagesServer, messages_server
from tests.runtime.support import kinds, watch

INSTRUCTIONS = "You help the customers of a bakery, kindly and briefly. " * 30


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def opening_hours(day: str) -> str:
    """Say when the bakery is open."""
    return f"6 to 18 on {day}"


BAKER = create_agent(model="anthropic/claude-haiku-4-5", instructions=INSTRUCTIONS, tools=[opening_hours, add])


@asynccontextmanager
async def baking(server: MessagesServer, path: Path) -> AsyncGenerator[Runtime, None]:
    runtime = Runtime({"baker": BAKER}, store=sqlite(path))
    runtime.configure_provider("anthropic", base_url=server.url, api_key="test-key")
    async with runtime:
        yield runtime


async def test_a_prompt_is_streamed_answered_and_paid_for(tmp_path: Path) -> None:
    async with messages_server() as server, baking(server, tmp_path / "x.db") as runtime:
        ref = runtime.ref("baker", "u1")
        events = await watch(ref, "hello, how are you today?")
        answer = await ref.prompt("hello")
    assert "text_delta" in kinds(events)
    streamed = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert "hello, how are you today?" in streamed
    assert answer.usage.cost is not None
    assert answer.usage.cost.total > 0


async def test_tools_run_and_the_history_is_one_the_provider_accepts(tmp_path: Path) -> None:
    async with messages_server() as server, baking(server, tmp_path / "x.db") as runtime:
        ref = runtime.ref("baker", "u1")
        await ref.prompt('call add {"a": 1, "b": 2}\ncall opening_hours {"day": "Monday"}')
        await ref.prompt("thank you")
        found = [entry.message for entry in await ref.history()]
    assert [text_of(each) for each in found if isinstance(each, ToolResultMessage)] == ["3", "6 to 18 on Monday"]
    assert server.requests[0].body["tools"][0]["name"] == "add"


async def test_of_a_session_of_fifty_turns_most_input_is_read_from_cache_also_across_a_restart(tmp_path: Path) -> None:
    async with messages_server() as server:
        for half in range(2):
            async with baking(server, tmp_path / "x.db") as runtime:
                ref = runtime.ref("baker", "u1")
                for turn in range(25):
                    answer = await ref.prompt(f"Question {half * 25 + turn}: when do you open? " * 5)
        tokens = [request.tokens for request in server.requests]
    assert len(tokens) == 50
    assert sum(each.cache_read for each in tokens) / sum(each.total for each in tokens) >= 0.95
    assert tokens[25].cache_read > 0.9 * tokens[24].total
    assert answer.usage.cache_read > 0


async def test_instances_share_what_is_static_and_nothing_else(tmp_path: Path) -> None:
    async with messages_server() as server, baking(server, tmp_path / "x.db") as runtime:
        await runtime.ref("baker", "u1").prompt("my secret is 42")
        await runtime.ref("baker", "u2").prompt("hello")
        second = server.requests[1]
    assert second.tokens.cache_read > len(INSTRUCTIONS) // 4
    assert "42" not in str(second.body["messages"])
    assert "u1" not in str(second.body)


async def test_a_refused_request_fails_that_message_only_and_shows_nothing_of_the_provider(tmp_path: Path) -> None:
    async with messages_server() as server, baking(server, tmp_path / "x.db") as runtime:
        ref = runtime.ref("baker", "u1")
        server.fail(Fault("status", status=400))
        with pytest.raises(ModelRejectedError) as failure:
            await ref.prompt("hello")
        assert failure.value.message == ModelRejectedError.default_message
        assert "400" not in failure.value.details
        assert (await ref.prompt("and now?")).text


async def test_a_refused_message_is_left_out_of_what_the_model_sees_later_and_stays_in_the_history(
    tmp_path: Path,
) -> None:
    async with messages_server() as server, baking(server, tmp_path / "x.db") as runtime:
        ref = runtime.ref("baker", "u1")
        with pytest.raises(ModelRefusedError):
            await ref.prompt("refuse")
        assert (await ref.prompt("hello")).text
        shown = [text_of(each.message) for each in await ref.history()]
    assert shown[0] == "refuse"
    assert "refuse" not in str(server.requests[1].body["messages"])
