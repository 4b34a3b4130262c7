"""How much of a long conversation's input is read from the prompt cache, on a server that bills by byte prefix.

50 turns with two tools, every second of them a tool call, through the whole runtime; after half of them the runtime stops
and another one goes on from the same file.
"""

import asyncio
import tempfile
from collections.abc import Iterable
from pathlib import Path

from flue_actors import Runtime, create_agent, sqlite, tool
from tests.messages_api import MessagesServer, messages_server

TURNS = 50
INSTRUCTIONS = "You answer briefly and kindly. " * 20
WORDS = "and some words to make it a usual length. " * 5


@tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@tool
def look_up(order: str) -> str:
    """What is known about an order."""
    return f"Order {order} is on its way. " * 5


def run(quick: bool) -> dict[str, float]:
    """Shares of all input tokens."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder) / "flue.db"))


async def _measure(file: Path) -> dict[str, float]:
    async with messages_server() as server:
        await _talk(server, file, range(TURNS // 2))
        before = len(server.requests)
        await _talk(server, file, range(TURNS // 2, TURNS))
        tokens = [request.tokens for request in server.requests]
    first = tokens[before]
    return {
        "read_from_cache_share": sum(each.cache_read for each in tokens) / sum(each.total for each in tokens),
        "first_after_restart_share": first.cache_read / first.total,
        "model_calls": float(len(tokens)),
    }


async def _talk(server: MessagesServer, file: Path, turns: Iterable[int]) -> None:
    agent = create_agent(model="anthropic/claude-haiku-4-5", instructions=INSTRUCTIONS, tools=[add, look_up])
    runtime = Runtime({"clerk": agent}, store=sqlite(file))
    runtime.configure_provider("anthropic", base_url=server.url, api_key="benchmark")
    async with runtime:
        for number in turns:
            await runtime.ref("clerk", "me").prompt(_message(number))


def _message(number: int) -> str:
    calls = ("", f'call add {{"a": {number}, "b": 1}}\n', "", f'call look_up {{"order": "{number}"}}\n')
    return f"{calls[number % 4]}Question {number}: {WORDS}"
