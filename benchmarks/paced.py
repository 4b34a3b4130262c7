"""Real chat is paced: 200 answers at once, 30 deltas/s of 20 bytes each, streamed over SSE through the whole server.

A delta's delay is against its answer's schedule: the k-th is due k/30 s after the answer's start, and the start is where
the answer's earliest delta puts it. What that hides, a delay common to all deltas of an answer, shows in the time from the
request to the first delta. The model's server and the client share a core of their own and count as ours.

* ``anthropic``: from a Messages-API server through the Anthropic client. ``scripted``: without network.
* CPU per delta is the server's, whole turns included.
"""

import asyncio

import uvloop

from benchmarks.load import percentile
from benchmarks.processes import Server, anthropic_environment, flue_server, messages_api
from benchmarks.stream_client import StreamClient

RATE = 30
SIZE = 20


def run(quick: bool) -> dict[str, float]:
    """Figures by ``<loop>_<model>_...``."""
    answers, deltas = (40, 40) if quick else (200, 150)
    figures: dict[str, float] = {}
    with messages_api("--deltas", str(deltas), "--rate", str(RATE), "--size", str(SIZE)) as url:
        models: dict[str, tuple[str, dict[str, str]]] = {
            "anthropic": ("anthropic/claude-haiku-4-5", anthropic_environment(url)),
            "scripted": (f"scripted/paced?deltas={deltas}&rate={RATE}&size={SIZE}", {}),
        }
        for loop, name in (("asyncio", "anthropic"), ("uvloop", "anthropic"), ("uvloop", "scripted")):
            model, env = models[name]
            with flue_server(model=model, loop=loop, env=env) as server:
                figures |= uvloop.run(_measure(server, f"{loop}_{name}", answers, deltas))
    return figures


async def _measure(server: Server, name: str, answers: int, deltas: int) -> dict[str, float]:
    await _stream(server, [await _connect(server, "warm")])
    clients = [await _connect(server, f"reader-{number}") for number in range(answers)]
    cpu = server.cpu_seconds()
    await _stream(server, clients)
    cpu = server.cpu_seconds() - cpu
    torn = [len(client.arrivals) for client in clients if len(client.arrivals) != deltas]
    assert not torn, f"answers of {deltas} deltas came with {torn}"
    delays = sorted(delay for client in clients for delay in _delays(client.arrivals))
    first = sorted(client.arrivals[0] - client.sent for client in clients)
    return {
        f"{name}_us_per_delta": cpu / (answers * deltas) * 1e6,
        f"{name}_delay_p50_ms": percentile(delays, 50) * 1e3,
        f"{name}_delay_p99_ms": percentile(delays, 99) * 1e3,
        f"{name}_first_delta_p50_ms": percentile(first, 50) * 1e3,
        f"{name}_first_delta_p99_ms": percentile(first, 99) * 1e3,
    }


def _delays(arrivals: list[float]) -> list[float]:
    """Seconds each delta came behind its schedule."""
    starts = [arrived - index / RATE for index, arrived in enumerate(arrivals)]
    earliest = min(starts)
    return [start - earliest for start in starts]


async def _connect(server: Server, id: str) -> StreamClient:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: StreamClient(id, SIZE), "127.0.0.1", server.port)
    return client


async def _stream(server: Server, clients: list[StreamClient]) -> None:
    for client in clients:
        client.send()
    await asyncio.gather(*(client.done for client in clients))
    for client in clients:
        assert client.transport is not None
        client.transport.close()
