"""The same socket session over Falcon's own receive and send, for servers that are not ours.

Slower than `socket_channel` (two tasks a socket, a wake-up a message), and as correct: a prompt is submitted while the
next message is read, and a peer that does not read is bounded.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from falcon import PayloadTypeError, WebSocketDisconnected
from falcon.asgi import WebSocket

from flue_actors.definition.settings import Settings
from flue_actors.gateway.sockets import SocketSession

TOO_BIG: Final = 1009


class FalconChannel:
    """A `sockets.Channel` over an accepted Falcon WebSocket."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._frames: list[bytes] = []
        self._closing: tuple[int, str] | None = None
        self._wake = asyncio.Event()
        self._sending = False
        self._taken = asyncio.Event()
        self._taken.set()

    @property
    def congested(self) -> bool:
        """True while the last write is not through."""
        return self._sending

    def write(self, frames: Sequence[bytes]) -> None:
        """Send text messages."""
        if self._closing is None:
            self._frames.extend(frames)
            self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """Close behind what was written."""
        if self._closing is None:
            self._closing = (code, reason)
            self._wake.set()

    async def taken(self) -> None:
        """Wait until the last write is through."""
        await self._taken.wait()

    async def send_all(self, writable: Callable[[], None]) -> None:
        """Send what is written until closed; ``writable`` is called whenever the peer took everything."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._sending = True
            self._taken.clear()
            frames, self._frames = self._frames, []
            for frame in frames:
                await self._socket.send_text(frame.decode())
            self._sending = False
            self._taken.set()
            if self._closing is not None and not self._frames:
                await self._socket.close(*self._closing)
                return
            writable()


async def converse(socket: WebSocket, channel: FalconChannel, session: SocketSession, settings: Settings) -> None:
    """Run the session until either side closes. The socket must be accepted."""
    loop = asyncio.get_running_loop()
    session.open()
    sender = loop.create_task(channel.send_all(session.writable))
    expiry = None
    if session.expires_at is not None:
        expiry = loop.call_later(max(0.0, session.expires_at - time.time()), session.expire)
    try:
        await _receive_all(socket, channel, session, settings)
    except WebSocketDisconnected:
        pass
    finally:
        sender.cancel()
        await asyncio.wait({sender})
        if expiry is not None:
            expiry.cancel()
        session.lost()


async def _receive_all(socket: WebSocket, channel: FalconChannel, session: SocketSession, settings: Settings) -> None:
    while True:
        await channel.taken()  # a peer that does not read is not read either
        try:
            text = await socket.receive_text()
        except PayloadTypeError:
            session.receive_binary()
            continue
        if len(text.encode()) > settings.max_frame:
            channel.close(TOO_BIG, "message too big")
        else:
            session.receive_text(text)
