"""A raw client for one event stream (SSE): it only notes when each delta arrived."""

import asyncio
import time
from typing import Final, cast

from benchmarks.http_client import prompt_request

_DELTA: Final = b"event: text_delta"
_END: Final = b"event: idle"
_KEEP: Final = len(_DELTA) - 1


class StreamClient(asyncio.Protocol):
    """Posts one prompt when connected; ``done`` with the stream's last event. Times are `time.perf_counter`'s."""

    def __init__(self, id: str) -> None:
        self._id = id
        self._tail = b""
        self.sent = 0.0
        self.arrivals: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the stream was cut"))

    def send(self) -> None:
        """Ask for the stream."""
        assert self.transport is not None
        self.sent = time.perf_counter()
        self.transport.write(prompt_request(self._id, accept="text/event-stream"))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        seen = self._tail + data
        self.arrivals += [now] * seen.count(_DELTA)
        self._tail = seen[-_KEEP:]
        if _END in seen and not self.done.done():
            self.done.set_result(None)
