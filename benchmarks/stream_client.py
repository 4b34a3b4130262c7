"""A raw client for one event stream (SSE): it only notes when each delta's text arrived.

Whoever is late may send the text of several deltas as one: they count as so many deltas, all as late as that one event.
"""

import asyncio
import re
import time
from typing import Final, cast

import msgspec

from benchmarks.http_client import prompt_request

_DELTA: Final = re.compile(rb"event: text_delta\nid: \d+\ndata: (.*)\n\n")
_END: Final = b"event: idle\n"


class _TextDelta(msgspec.Struct):
    text: str


_text_delta = msgspec.json.Decoder(_TextDelta).decode


class StreamClient(asyncio.Protocol):
    """Posts one prompt; ``done`` with the stream's last event. ``arrivals``: a `time.perf_counter` for each delta."""

    def __init__(self, id: str, delta_size: int) -> None:
        self._id = id
        self._delta_size = delta_size
        self._rest = b""
        self._characters = 0
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
        whole, gap, rest = (self._rest + data).rpartition(b"\n\n")
        self._rest = rest
        for found in _DELTA.finditer(whole + gap):
            self._characters += len(_text_delta(found[1]).text)
        self.arrivals += [now] * (self._characters // self._delta_size - len(self.arrivals))
        if _END in whole and not self.done.done():
            self.done.set_result(None)
