"""A whole server over sockets: prompts/s, handshakes/s, and memory of an idle connection. Scripted model, SQLite store.

Each connection has an id of its own, so its session grows while it is measured.
"""

import asyncio
import time

import uvloop

from benchmarks.load import Load
from benchmarks.processes import Server, flue_server
from benchmarks.socket_client import connect, prompt_for


def run(quick: bool) -> dict[str, float]:
    """Figures by what was done, and over how many connections."""
    with flue_server(model="scripted/echo", loop="uvloop") as server:
        return uvloop.run(_measure(server, quick))


async def _measure(server: Server, quick: bool) -> dict[str, float]:
    await _prompts(server, "warm", 4, 0.1)
    figures: dict[str, float] = {}
    for count in (1, 100):
        figures |= await _prompts(server, f"prompts_{count}", count, 0.3 if quick else 2.0)
    figures |= await _handshakes(server, 50 if quick else 500)
    figures |= await _idle(server, 100 if quick else 1_000)
    return figures


async def _prompts(server: Server, name: str, count: int, seconds: float) -> dict[str, float]:
    clients = [await connect(server.port, f"{name}-{number}") for number in range(count)]
    cpu = server.cpu_seconds()
    frames, received = sum(client.frames for client in clients), sum(client.bytes for client in clients)
    latencies, took = await prompt_for(clients, seconds)
    load = Load(latencies=latencies, seconds=took, cpu_seconds=server.cpu_seconds() - cpu)
    turns = sum(len(client) for client in latencies)
    figures = load.figures(name) | {
        f"{name}_frames_per_prompt": (sum(client.frames for client in clients) - frames) / turns,
        f"{name}_bytes_per_prompt": (sum(client.bytes for client in clients) - received) / turns,
    }
    for client in clients:
        client.close()
    await asyncio.gather(*(client.closed for client in clients))
    return figures


async def _handshakes(server: Server, count: int) -> dict[str, float]:
    """One after the other, each up to its ready frame."""
    began, cpu = time.perf_counter(), server.cpu_seconds()
    clients = [await connect(server.port, f"shake-{number}") for number in range(count)]
    took, cpu = time.perf_counter() - began, server.cpu_seconds() - cpu
    for client in clients:
        client.close()
    await asyncio.gather(*(client.closed for client in clients))
    return {"handshakes_per_s": count / took, "handshake_cpu_us": cpu / count * 1e6}


async def _idle(server: Server, count: int) -> dict[str, float]:
    """Memory grows by arenas: what ``count`` more connections add behind the first thousand's reuse is the honest part."""
    before = server.resident_bytes()
    clients = [await connect(server.port, f"idle-{number}") for number in range(count)]
    grown = server.resident_bytes() - before
    for client in clients:
        client.close()
    return {"idle_connection_kib": grown / count / 1024}
