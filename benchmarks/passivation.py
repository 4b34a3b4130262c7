"""What 100,000 instances leave in a runtime once each was touched and passivated: actors, instances, tasks, memory.

On the SQLite store, because the memory store keeps its rows where they count. Memory is Python's own (tracemalloc).
"""

import asyncio
import gc
import tempfile
import tracemalloc
from pathlib import Path

from flue_actors import Runtime, Settings, create_agent, sqlite

AT_ONCE = 64
WARM = 12_000
"""More than the store remembers of sessions (10,000): what is bounded and full is not what is left behind."""


def run(quick: bool) -> dict[str, float]:
    """What is left, less what was there once the first instances had passed."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder), 5_000 if quick else 100_000))


async def _measure(folder: Path, count: int) -> dict[str, float]:
    echo = create_agent(model="scripted/echo", instructions="Reply with a short text.")
    settings = Settings(passivate_after=0.5, max_active=2_000)
    async with Runtime({"echo": echo}, store=sqlite(folder / "flue.db"), settings=settings) as runtime:
        tracemalloc.start()
        await _touch(runtime, "warm", WARM)
        await _all_gone(runtime)
        tasks, traced = len(asyncio.all_tasks()), _traced()
        await _touch(runtime, "user", count)
        peak = tracemalloc.get_traced_memory()[1]
        await _all_gone(runtime)
        left = runtime.snapshot()
        figures = {
            "touched": float(count),
            "left_actors": float(len(left.actors.actors)),
            "left_instances": float(left.instances),
            "left_tasks": float(len(asyncio.all_tasks()) - tasks),
            "left_bytes": float(_traced() - traced),
            "peak_bytes": float(peak - traced),
        }
        tracemalloc.stop()
    return figures


async def _touch(runtime: Runtime, kind: str, count: int) -> None:
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await runtime.ref("echo", f"{kind}-{number}").prompt("hello there")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())


async def _all_gone(runtime: Runtime) -> None:
    """Wait until every instance has left, a minute at most: what is there then is what is left."""
    for _ in range(600):
        if not runtime.snapshot().actors.actors:
            return
        await asyncio.sleep(0.1)


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
