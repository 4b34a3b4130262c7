"""A whole agent on a server that speaks chat completions."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
import pytest

from flue_actors import Runtime, create_agent, tool
from flue_actors.definition.attaching import File, Image
from flue_actors.errors import ContextOverflowError
from flue_actors.models.catalog import ModelInfo, Prices
from tests.completions_api import ChatServer, ChatSettings, completions_server

PICTURE = Image(b"\x89PNG\r\n\x1a\n" + b"0" * 400_000, "image/png")
NOTES = File(b"Bring milk.", "text/plain", "notes.txt")
FACTS = ModelInfo(100_000, 4_000, prices=Prices(1, 2, 0.1, 0), native_results=True)


class Sum(msgspec.Struct):
    total: int


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@asynccontextmanager
async def adding(settings: ChatSettings | None = None) -> AsyncGenerator[tuple[Runtime, ChatServer]]:
    agent = create_agent(model="local/small", instructions="You add.", tools=[add])
    async with completions_server(settings) as server:
        runtime = Runtime(agents={"adder": agent})
        url = f"{server.url}/v1"
        runtime.register_provider("local", api="openai-completions", base_url=url, models={"small": FACTS})
        async with runtime:
            yield runtime, server


async def test_tools_run_in_turn_and_the_cost_is_known() -> None:
    async with adding() as (runtime, _):
        script = 'call add {"a": 1, "b": 2}\ncall add {"a": 3, "b": 4}\nthen\ncall add {"a": 5, "b": 6}'
        answer = await runtime.ref("adder", "u1").prompt(script)
        assert answer.text.startswith("echo: 11")
        assert answer.usage.cost is not None
        assert answer.usage.cost.total > 0


async def test_a_result_comes_natively() -> None:
    async with adding() as (runtime, server):
        answer = await runtime.ref("adder", "u1").prompt('answer {"total": 4}', result=Sum)
        assert answer.data == Sum(4)
        assert "response_format" in server.requests[0].body


async def test_a_picture_and_a_file_are_shown_turn_after_turn() -> None:
    async with adding() as (runtime, server):
        ref = runtime.ref("adder", "u1")
        await ref.prompt("look", images=[PICTURE], files=[NOTES])
        await ref.prompt("and now?")
        first, second = (request.body["messages"] for request in server.requests)
        assert [part["type"] for part in first[1]["content"]].count("image_url") == 1
        assert "Bring milk." in str(first[1]["content"])
        assert second[:2] == first


async def test_a_conversation_that_is_too_long_has_a_name() -> None:
    async with adding(ChatSettings(window=200)) as (runtime, _):
        with pytest.raises(ContextOverflowError):
            await runtime.ref("adder", "u1").prompt("long " * 500)
