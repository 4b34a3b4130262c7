"""How much of a long conversation's input is read from the prompt cache, on a server that bills by byte prefix.

50 turns with two tools, every second of them a tool call, through the whole runtime; after half of them the runtime stops
and another one goes on from the same file. ``equipped``: the same for an agent with a sandbox, skills and a subagent, which
it uses. ``shared``: what 100 instances of that agent read of its tools and instructions, which are the same for all of them,
once the first one was answered.
"""

import asyncio
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from flue_actors import Runtime, create_agent, define_agent_profile, sqlite, tool, virtual
from flue_actors.definition.agent import CreatedAgent
from flue_actors.skills.skill import Skill
from tests.messages_api import MessagesServer, messages_server
from tests.messages_api.cache import PromptCache

MODEL: Final = "anthropic/claude-haiku-4-5"
TURNS: Final = 50
INSTANCES: Final = 100
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
        plain = asyncio.run(_measure(Path(folder) / "plain.db", _plain(), _PLAIN_CALLS))
        equipped = asyncio.run(_measure(Path(folder) / "equipped.db", _equipped(), _EQUIPPED_CALLS))
        shared = asyncio.run(_shared(Path(folder) / "shared.db", 10 if quick else INSTANCES))
    return plain | {f"equipped_{name}": value for name, value in equipped.items()} | shared


async def _measure(file: Path, agent: CreatedAgent, calls: Sequence[str]) -> dict[str, float]:
    async with messages_server() as server:
        await _talk(server, file, agent, calls, range(TURNS // 2))
        before = len(server.requests)
        await _talk(server, file, agent, calls, range(TURNS // 2, TURNS))
        tokens = [request.tokens for request in server.requests]
    first = tokens[before]
    return {
        "read_from_cache_share": sum(each.cache_read for each in tokens) / sum(each.total for each in tokens),
        "first_after_restart_share": first.cache_read / first.total,
        "model_calls": float(len(tokens)),
    }


async def _shared(file: Path, instances: int) -> dict[str, float]:
    """Of the first call of each further instance: what it read, to what the agent's own part of it is."""
    async with messages_server() as server:
        runtime = Runtime({"clerk": _equipped()}, store=sqlite(file))
        runtime.configure_provider("anthropic", base_url=server.url, api_key="benchmark")
        async with runtime:
            for number in range(instances + 1):
                await runtime.ref("clerk", str(number)).prompt("Good morning.")
        first, *others = list(server.requests)
    own = PromptCache().account({**first.body, "system": first.body["system"][:1], "messages": []}).total
    return {
        "shared_by_100_instances_share": min(each.tokens.cache_read for each in others) / own,
        "shared_of_first_call_share": min(each.tokens.cache_read / each.tokens.total for each in others),
    }


async def _talk(
    server: MessagesServer, file: Path, agent: CreatedAgent, calls: Sequence[str], turns: Iterable[int]
) -> None:
    runtime = Runtime({"clerk": agent}, store=sqlite(file))
    runtime.configure_provider("anthropic", base_url=server.url, api_key="benchmark")
    async with runtime:
        for number in turns:
            call = calls[number % len(calls)].replace("%n", str(number))
            await runtime.ref("clerk", "me").prompt(f"{call}Question {number}: {WORDS}")


def _plain() -> CreatedAgent:
    return create_agent(model=MODEL, instructions=INSTRUCTIONS, tools=[add, look_up])


def _equipped() -> CreatedAgent:
    clerk = define_agent_profile(
        name="archive", description="Knows old orders.", instructions=INSTRUCTIONS, tools=[look_up]
    )
    skills = [
        Skill(name=f"manual-{n}", description=f"How case {n} is handled. " * 5, instructions=INSTRUCTIONS)
        for n in range(5)
    ]
    files = {"AGENTS.md": INSTRUCTIONS, "orders.csv": "order,state\n1,sent\n"}
    return create_agent(
        model=MODEL,
        instructions=INSTRUCTIONS,
        tools=[add, look_up],
        skills=skills,
        subagents=[clerk],
        sandbox=virtual(files=files),
    )


_PLAIN_CALLS: Final = ("", 'call add {"a": %n, "b": 1}\n', "", 'call look_up {"order": "%n"}\n')
_EQUIPPED_CALLS: Final = (
    "",
    'call bash {"command": "echo %n >> notes.txt"}\n',
    'call task {"agent": "archive", "prompt": "What is known about order %n?"}\n',
    'call activate_skill {"name": "manual-1"}\n',
    'call read {"path": "notes.txt"}\n',
)
