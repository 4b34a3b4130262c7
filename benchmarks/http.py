"""A whole server over HTTP: turns/s, latency, fairness and CPU per turn. Scripted model, SQLite store.

* ``fresh``: every turn goes to a new id. ``continuing``: to 1,000 ids that have talked before.
* ``distinct_256``: 256 clients with an id each; judged by how evenly they are served.
* On uvloop, as ``flue-actors serve`` runs, at 1, 32 and 256 clients; on asyncio's own loop at 32 and 256.
"""

import itertools
from collections.abc import Callable, Iterator

import uvloop

from benchmarks.http_client import closed_loop
from benchmarks.load import Load
from benchmarks.processes import Server, flue_server

CONTINUING = 1_000


def run(quick: bool) -> dict[str, float]:
    """Figures by ``<loop>_<ids>_<clients>_...``."""
    figures: dict[str, float] = {}
    for loop, clients in (("uvloop", (1, 32, 256)), ("asyncio", (32, 256))):
        with flue_server(model="scripted/echo", loop=loop) as server:
            figures |= uvloop.run(measure(server, loop, (1, 32) if quick else clients, 0.3 if quick else 2.0))
            figures |= uvloop.run(_distinct(server, loop, 0.3 if quick else 4.0))
    return figures


async def measure(server: Server, loop: str, clients: tuple[int, ...], seconds: float) -> dict[str, float]:
    """Fresh and continuing ids, each with so many clients in turn."""
    await _warm_up(server)
    figures: dict[str, float] = {}
    for count in clients:
        for kind, id_of in (("fresh", _fresh(itertools.count())), ("continuing", _continuing(itertools.count()))):
            load = await closed_loop(
                server, count, seconds, lambda _, turn, id_of=id_of, count=count: id_of(count, turn)
            )
            figures |= load.figures(f"{loop}_{kind}_{count}")
    return figures


async def _distinct(server: Server, loop: str, seconds: float) -> dict[str, float]:
    load: Load = await closed_loop(server, 256, seconds, lambda client, _: f"own-{client}")
    return load.figures(f"{loop}_distinct_256") | load.fairness(f"{loop}_distinct_256")


async def _warm_up(server: Server) -> None:
    """Every continuing id has talked; whatever is lazy is loaded."""
    await closed_loop(server, 1, 0, lambda _, turn: f"warm-{turn}", turns=20)
    await closed_loop(server, 20, 0, lambda client, turn: f"known-{client * 50 + turn}", turns=CONTINUING // 20)


def _fresh(numbers: Iterator[int]) -> Callable[[int, int], str]:
    return lambda clients, _: f"fresh-{clients}-{next(numbers)}"


def _continuing(numbers: Iterator[int]) -> Callable[[int, int], str]:
    return lambda _, __: f"known-{next(numbers) % CONTINUING}"
