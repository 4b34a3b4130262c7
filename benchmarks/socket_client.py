"""A raw WebSocket client that speaks the agent protocol: one asyncio protocol a connection, frames read by hand.

It masks with a key of zeros (which changes nothing), so a prompt is the same bytes every time.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, cast

import msgspec

_PROMPT: Final = b'{"version":1,"type":"prompt","requestId":"1","message":"hello there"}'
_HANDSHAKE: Final = (
    "GET /agents/echo/{} HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
)
_ERROR: Final = "error"


class _Head(msgspec.Struct):
    type: str


_head = msgspec.json.Decoder(_Head).decode


class SocketClient(asyncio.Protocol):
    """One connection. ``ready`` is done with the server's first frame; `prompt` calls back with the last one."""

    def __init__(self, id: str) -> None:
        self._id = id
        self._received = b""
        self._open = False
        self._answered: Callable[[], None] | None = None
        self._transport: asyncio.Transport | None = None
        self.frames = 0
        self.bytes = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_HANDSHAKE.format(self._id).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionError("the handshake failed"))

    def prompt(self, answered: Callable[[], None]) -> None:
        """Send one prompt."""
        assert self._transport is not None
        self._answered = answered
        self._transport.write(bytes((0x81, 0x80 | len(_PROMPT), 0, 0, 0, 0)) + _PROMPT)

    def close(self) -> None:
        """Drop the connection."""
        assert self._transport is not None
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self.bytes += len(data)
        received = self._received + data
        if not self._open:
            end = received.find(b"\r\n\r\n")
            if end < 0:
                self._received = received
                return
            assert received.startswith(b"HTTP/1.1 101"), received
            self._open, received = True, received[end + 4 :]
        self._received = received[self._read_frames(received) :]

    def _read_frames(self, received: bytes) -> int:
        """Handle every whole frame; how many bytes they were."""
        at = 0
        while len(received) >= at + 2:
            length, start = received[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(received[start : start + 2], "big"), start + 2
            elif length == 127:
                length, start = int.from_bytes(received[start : start + 8], "big"), start + 8
            if len(received) < start + length:
                break
            at = start + length
            self._frame(received[start:at])
        return at

    def _frame(self, payload: bytes) -> None:
        self.frames += 1
        kind = _head(payload).type
        if kind == "ready":
            self.ready.set_result(None)
        elif kind == "result" and self._answered is not None:
            self._answered()
        assert kind != _ERROR, payload


async def connect(port: int, id: str) -> SocketClient:
    """Open a socket to ``echo/<id>`` and wait until it is ready."""
    _, client = await asyncio.get_running_loop().create_connection(lambda: SocketClient(id), "127.0.0.1", port)
    await client.ready
    return client


async def prompt_for(clients: list[SocketClient], seconds: float) -> tuple[list[list[float]], float]:
    """Every client prompts in a closed loop for so long: latencies by client, and seconds until the last answer."""
    began = time.perf_counter()
    until = began + seconds
    latencies = await asyncio.gather(*(_prompt_until(client, until) for client in clients))
    return list(latencies), time.perf_counter() - began


async def _prompt_until(client: SocketClient, until: float) -> list[float]:
    latencies: list[float] = []
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sent = 0.0

    def send() -> None:
        nonlocal sent
        sent = time.perf_counter()
        client.prompt(answered)

    def answered() -> None:
        now = time.perf_counter()
        latencies.append(now - sent)
        if now < until:
            send()
        else:
            done.set_result(None)

    send()
    await done
    return latencies
