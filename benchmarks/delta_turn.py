"""A whole turn of 200 deltas against the model call alone: our runtime, and the Anthropic SDK's own ``stream()`` helper.

Both read the same local Messages-API server with 32 turns in flight. Ours is everything: mailbox, SQLite store, events,
settlement; the SDK's is the call. CPU is this process's.
"""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from anthropic import AsyncAnthropic

from benchmarks.processes import messages_api
from flue_actors import Runtime, create_agent, sqlite

DELTAS = 200
IN_FLIGHT = 32
MODEL = "claude-haiku-4-5"
INSTRUCTIONS = "You are brief."


def run(quick: bool) -> dict[str, float]:
    """Microseconds of CPU per turn, and their ratio."""
    with messages_api("--deltas", str(DELTAS)) as url, tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(url, Path(folder), 64 if quick else 480))


async def _measure(url: str, folder: Path, turns: int) -> dict[str, float]:
    agent = create_agent(model=f"anthropic/{MODEL}", instructions=INSTRUCTIONS)
    runtime = Runtime({"teller": agent}, store=sqlite(folder / "flue.db"))
    runtime.configure_provider("anthropic", base_url=url, api_key="benchmark")
    ids = itertools.count()
    async with runtime, AsyncAnthropic(base_url=url, api_key="benchmark") as sdk:

        async def ours() -> int:
            return len((await runtime.ref("teller", str(next(ids))).prompt("Tell me something.")).text)

        ways: dict[str, Callable[[], Awaitable[int]]] = {"runtime": ours, "sdk_stream": lambda: _sdk_turn(sdk)}
        for way in ways.values():
            await _load(way, IN_FLIGHT)
        spent = {name: [await _load(way, turns // 4)] for name, way in ways.items()}
        for _ in range(3):
            for name, way in ways.items():
                spent[name].append(await _load(way, turns // 4))
    runtime_us, sdk_us = (sum(each) / len(each) * 1e6 for each in spent.values())
    return {"runtime_cpu_us": runtime_us, "sdk_stream_cpu_us": sdk_us, "runtime_over_sdk_stream": runtime_us / sdk_us}


async def _sdk_turn(sdk: AsyncAnthropic) -> int:
    async with sdk.messages.stream(
        model=MODEL,
        max_tokens=64_000,
        system=INSTRUCTIONS,
        messages=[{"role": "user", "content": "Tell me something."}],
    ) as stream:
        return len(await stream.get_final_text())


async def _load(turn: Callable[[], Awaitable[int]], turns: int) -> float:
    """Seconds of CPU per turn."""
    left = iter(range(turns))

    async def worker() -> None:
        for _ in left:
            assert await turn() > 0

    cpu = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(worker())
    return (time.process_time() - cpu) / turns
