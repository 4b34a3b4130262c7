"""The first shell command on a virtual sandbox, from making the sandbox to the command's output; and those after it.

One process is begun beforehand, as an import is: what the first sandbox of a program pays is ``first_of_all_ms``.
"""

import asyncio
import os
import statistics
import time
from pathlib import Path

from flue_actors.ids import AgentKey
from flue_actors.sandboxes.protocol import SandboxContext
from flue_actors.sandboxes.virtual import VirtualSandboxes, virtual

COMMAND = "echo hi > /tmp/x; cat /tmp/x"
_APART = 0.04
"""Seconds between two, as between two users: the next process is begun meanwhile."""


def run(quick: bool) -> dict[str, float]:
    """Milliseconds, medians; ``process_bytes``: memory that a sandbox's process has to itself."""
    return asyncio.run(_run(20 if quick else 200))


async def _run(times: int) -> dict[str, float]:
    factory = virtual()
    first_of_all = await _timed_first(factory, 0)
    await asyncio.sleep(_APART)
    firsts: list[float] = []
    for n in range(times):
        firsts.append(await _timed_first(factory, n))
        await asyncio.sleep(_APART)
    sandbox = await factory.open(_context(0))
    laters: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        await sandbox.exec(COMMAND)
        laters.append(time.perf_counter() - started)
    private = _private_bytes()
    started = time.perf_counter()
    crowd = await asyncio.gather(*(_timed_first(factory, n) for n in range(32)))
    in_crowd = (time.perf_counter() - started) / len(crowd)
    await sandbox.close()
    return {
        "first_of_all_ms": first_of_all * 1e3,
        "first_ms": statistics.median(firsts) * 1e3,
        "first_p95_ms": statistics.quantiles(firsts, n=20)[-1] * 1e3,
        "later_ms": statistics.median(laters) * 1e3,
        "each_of_32_at_once_ms": in_crowd * 1e3,
        "process_bytes": private,
    }


async def _timed_first(factory: VirtualSandboxes, n: int) -> float:
    started = time.perf_counter()
    sandbox = await factory.open(_context(n))
    result = await sandbox.exec(COMMAND)
    taken = time.perf_counter() - started
    assert result.stdout == b"hi\n"
    await sandbox.close()
    return taken


def _context(n: int) -> SandboxContext:
    return SandboxContext(key=AgentKey("bench", f"instance-{n}"))


def _private_bytes() -> float:
    """The largest private memory among processes that a child of ours began."""
    found = [0]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = _parent(stat)
            if parent > 1 and _parent(Path(f"/proc/{parent}/stat")) == os.getpid():
                rollup = (stat.parent / "smaps_rollup").read_text().split("\n")
                found.append(sum(int(line.split()[1]) for line in rollup if line.startswith("Private_")) * 1024)
        except OSError:
            continue
    return float(max(found))


def _parent(stat: Path) -> int:
    return int(stat.read_text().rpartition(")")[2].split()[1])
