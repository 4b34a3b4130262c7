"""Turns in this process, without any wire: scripted model, memory and SQLite store, on asyncio's own loop.

``fresh``: every turn goes to a new id. ``continuing``: to 1,000 ids that have talked before. CPU is the whole process's,
the store's thread included.
"""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.load import Load
from flue_actors import Runtime, create_agent, memory_store, sqlite
from flue_actors.storage import Store

CONTINUING = 1_000


def run(quick: bool) -> dict[str, float]:
    """Figures by ``<store>_<ids>_<at once>_...``."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, store in (("memory", memory_store()), ("sqlite", sqlite(Path(folder) / "flue.db"))):
            figures |= asyncio.run(_measure(name, store, quick))
    return figures


async def _measure(name: str, store: Store, quick: bool) -> dict[str, float]:
    figures: dict[str, float] = {}
    echo = create_agent(model="scripted/echo", instructions="Reply with a short text.")
    async with Runtime({"echo": echo}, store=store) as runtime:
        known = [f"known-{number}" for number in range(CONTINUING)]
        await _load(runtime, 32, iter(known), until=float("inf"))
        for at_once in (1, 32) if quick else (1, 32, 256):
            kinds: dict[str, Callable[[], Iterator[str]]] = {
                "fresh": lambda n=at_once: (f"fresh-{n}-{number}" for number in itertools.count()),
                "continuing": lambda: itertools.cycle(known),
            }
            for kind, ids in kinds.items():
                load = await _load(runtime, at_once, ids(), until=time.perf_counter() + (0.2 if quick else 1.0))
                figures |= load.figures(f"{name}_{kind}_{at_once}")
    return figures


async def _load(runtime: Runtime, at_once: int, ids: Iterator[str], *, until: float) -> Load:
    latencies: list[list[float]] = [[] for _ in range(at_once)]

    async def worker(taken: list[float]) -> None:
        for id in ids:
            before = time.perf_counter()
            if before > until:
                return
            await runtime.ref("echo", id).prompt("hello there")
            taken.append(time.perf_counter() - before)

    wall, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for taken in latencies:
            group.create_task(worker(taken))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Load(latencies=latencies, seconds=wall, cpu_seconds=cpu)
