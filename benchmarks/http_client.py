"""A raw HTTP/1.1 keep-alive client: one asyncio protocol a connection, so that it is never what is measured."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import cast

from benchmarks.load import Load
from benchmarks.processes import Server

_MESSAGE = b'{"message":"hello there"}'


def prompt_request(id: str, *, accept: str = "application/json", body: bytes = _MESSAGE) -> bytes:
    """The bytes of ``POST /agents/echo/<id>``."""
    head = (
        f"POST /agents/echo/{id} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: {accept}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class KeepAliveClient(asyncio.Protocol):
    """Sends the next of ``requests`` whenever the last one is answered, until they end; then ``done`` is."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self._received = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))

    def send_next(self) -> None:
        """Send the next request."""
        assert self._transport is not None
        request = next(self._requests, None)
        if request is None:
            if not self.done.done():
                self.done.set_result(None)
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = received[:end].lower()
        length = head.find(b"content-length: ") + 16
        if len(received) < end + 4 + int(head[length:].partition(b"\r\n")[0]):
            return
        if not head.startswith(b"http/1.1 200"):
            self.done.set_exception(AssertionError(received))
            return
        self._received = b""
        self.latencies.append(time.perf_counter() - self._sent)
        self.send_next()


async def closed_loop(
    server: Server, clients: int, seconds: float, id_of: Callable[[int, int], str], *, turns: int | None = None
) -> Load:
    """Keep ``clients`` busy for so long (or for so many ``turns`` each). ``id_of`` gets client and turn, from 0 on."""
    loop = asyncio.get_running_loop()
    until = time.perf_counter() + seconds

    def requests(client: int) -> Iterator[bytes]:
        turn = 0
        while (time.perf_counter() < until) if turns is None else (turn < turns):
            yield prompt_request(id_of(client, turn))
            turn += 1

    opened: list[KeepAliveClient] = []
    for number in range(clients):
        _, client = await loop.create_connection(
            lambda number=number: KeepAliveClient(requests(number)), "127.0.0.1", server.port
        )
        opened.append(client)
    began, cpu = time.perf_counter(), server.cpu_seconds()
    until = began + seconds
    for client in opened:
        client.send_next()
    await asyncio.gather(*(client.done for client in opened))
    return Load(
        latencies=[client.latencies for client in opened],
        seconds=time.perf_counter() - began,
        cpu_seconds=server.cpu_seconds() - cpu,
    )
