"""What one subscriber that stalls costs the turn and the other subscribers: pairs of the same turn, without and with it.

A long paced answer is watched by its sender and by eight subscribers of ``GET .../stream``, each on a connection of its
own. In every second run there is one more, which opens the stream and never reads: it is more than a ring behind in the
end. A delta's delay is against the answer's schedule, as in ``paced``. The server runs in this process, whose loop notes
its longest stall; the clients are another process on the other core.
"""

import argparse
import asyncio
import re
import socket
import sys
import time
from statistics import median
from typing import Final, cast

import msgspec

from benchmarks.cores import pin
from benchmarks.http_client import prompt_request
from benchmarks.load import percentile
from flue_actors import Runtime, create_agent, memory_store, public, serve
from flue_actors.definition.project import AgentDefinition
from tests.helpers.ports import free_port

PAIRS: Final = 5
SUBSCRIBERS: Final = 8
RATE: Final = 1_000
BEAT: Final = 0.001
RECEIVE_BUFFER: Final = 4_096
_DELTA: Final = re.compile(rb"^event: text_delta$", re.MULTILINE)
_END: Final = b"event: idle\n"


class Turn(msgspec.Struct, frozen=True):
    """How long one turn took, and how late its deltas reached the subscribers."""

    turn_ms: float
    delay_p99_ms: float


def run(quick: bool) -> dict[str, float]:
    """Medians over the pairs, their ratios, and the longest stall of the server's loop beside the stalled one."""
    return asyncio.run(_pairs(1, 500) if quick else _pairs(PAIRS, 5_000))


async def _pairs(pairs: int, deltas: int) -> dict[str, float]:
    model = f"scripted/paced?deltas={deltas}&rate={RATE}&size=20"
    agent = AgentDefinition("echo", create_agent(model=model), route=public)
    port, listening = free_port(), asyncio.Event()
    runtime = Runtime({"echo": agent}, store=memory_store())

    def heard(_: str, __: int) -> None:
        listening.set()

    server = asyncio.ensure_future(serve(runtime, port=port, on_listening=heard, signals=False))
    await listening.wait()
    plain, beside = list[Turn](), list[Turn]()
    alone, stalls = list[float](), list[float]()
    try:
        await _turn(port, "warm", stalled=False)
        for number in range(pairs):
            turn, longest = await _turn(port, f"plain-{number}", stalled=False)
            plain.append(turn)
            alone.append(longest)
            turn, longest = await _turn(port, f"stalled-{number}", stalled=True)
            beside.append(turn)
            stalls.append(longest)
    finally:
        server.cancel()
        await asyncio.wait({server})
    each = list(zip(plain, beside, strict=True))
    return {
        "turn_ms": median(turn.turn_ms for turn in plain),
        "delay_p99_ms": median(turn.delay_p99_ms for turn in plain),
        "turn_ratio": median(after.turn_ms / before.turn_ms for before, after in each),
        "delay_p99_ratio": median(after.delay_p99_ms / before.delay_p99_ms for before, after in each),
        "longest_stall_ms": median(stalls),
        "longest_stall_without_ms": median(alone),
    }


async def _turn(port: int, id: str, *, stalled: bool) -> tuple[Turn, float]:
    """One turn, and by how many ms the server's loop was late at worst meanwhile."""
    arguments = ["-m", "benchmarks.stalled_subscriber", str(port), id, *(["--stalled"] if stalled else [])]
    clients = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    pin(clients.pid, "client")
    assert clients.stdout is not None
    await clients.stdout.readline()  # everybody is connected
    watching = asyncio.ensure_future(_longest_stall())
    said = await clients.stdout.readline()
    watching.cancel()
    await clients.wait()
    return msgspec.json.decode(said, type=Turn), await watching


async def _longest_stall() -> float:
    longest = 0.0
    try:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(BEAT)
            longest = max(longest, time.perf_counter() - began - BEAT)
    except asyncio.CancelledError:
        return longest * 1e3


# -- the clients' process -----------------------------------------------------------------------------------------------


class _Watcher(asyncio.Protocol):
    """Sends a request and notes when each delta arrived; ``done`` with the turn's last event."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._rest = b""
        self.arrivals: list[float] = []
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the stream was cut"))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.begun.done():
            self.begun.set_result(None)
        whole, gap, self._rest = (self._rest + data).rpartition(b"\n\n")
        self.arrivals += [now] * len(_DELTA.findall(whole + gap))
        if _END in whole and not self.done.done():
            self.done.set_result(None)


async def _clients(port: int, id: str, stalled: bool) -> Turn:
    loop = asyncio.get_running_loop()
    follow = f"GET /agents/echo/{id}/stream HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()
    watchers = [
        (await loop.create_connection(lambda: _Watcher(follow), "127.0.0.1", port))[1] for _ in range(SUBSCRIBERS)
    ]
    if stalled:
        idle = socket.socket()
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        idle.connect(("127.0.0.1", port))
        idle.sendall(follow)
    await asyncio.gather(*[each.begun for each in watchers])
    print("connected", flush=True)
    request = prompt_request(id, accept="text/event-stream")
    began = time.perf_counter()
    _, sender = await loop.create_connection(lambda: _Watcher(request), "127.0.0.1", port)
    await sender.done
    took = time.perf_counter() - began
    await asyncio.gather(*[each.done for each in watchers])
    counts = {len(each.arrivals) for each in (sender, *watchers)}
    assert len(counts) == 1, f"subscribers got {counts} deltas"
    late = sorted(delay for each in watchers for delay in _delays(each.arrivals))
    return Turn(took * 1e3, percentile(late, 99) * 1e3)


def _delays(arrivals: list[float]) -> list[float]:
    """Seconds each delta came behind its schedule."""
    starts = [arrived - place / RATE for place, arrived in enumerate(arrivals)]
    earliest = min(starts)
    return [start - earliest for start in starts]


def main() -> None:
    """The clients of one turn; prints that they are connected, then what they measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stalled_subscriber", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("id")
    parser.add_argument("--stalled", action="store_true")
    given = parser.parse_args()
    found = asyncio.run(_clients(given.port, given.id, given.stalled))
    print(msgspec.json.encode(found).decode(), flush=True)


if __name__ == "__main__":
    main()
