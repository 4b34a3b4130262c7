"""One event stream (SSE) at work: takes what is ready, hands it to the server as one write, notices when nobody listens.

Nothing is taken while the server still holds the last chunk back for a slow reader: the events stay in the instance's
ring, which forgets the oldest, and a reader who lost some gets a last `error` event. Whatever ends the stream, the
work it watches goes on.
"""

import asyncio
from collections.abc import Callable
from typing import Self

from flue_actors.errors import FlueError, ReaderTooSlowError
from flue_actors.gateway.asgi import Receive
from flue_actors.gateway.errors import error_body
from flue_actors.gateway.sse import HEARTBEAT, error_frame, event_frames
from flue_actors.gateway.wire import StreamError
from flue_actors.observing import Subscription


class EventStream:
    """The chunks of one answer, as Falcon wants a response's stream: an async iterator with `close`."""

    def __init__(
        self,
        feed: Subscription,
        receive: Receive,
        *,
        instance_id: str,
        heartbeat: float,
        forget: "Callable[[EventStream], None]",
    ) -> None:
        self._feed = feed
        self._receive = receive
        self._instance_id = instance_id
        self._heartbeat = heartbeat
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._wake: asyncio.Future[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._beat_due = False
        self._left = False
        self._last_word: FlueError | None = None
        self._done = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._watch is None:
            self._begin()
        while not self._done and not self._left:
            chunk = self._take()
            if chunk:
                return chunk
            self._wake = self._loop.create_future()
            await self._wake
        raise StopAsyncIteration

    def end(self, error: FlueError) -> None:
        """Say this as the last event, and end."""
        self._last_word = error
        self._ring()

    async def close(self) -> None:
        """Stop watching. Called by the server's side whatever happened."""
        self._feed.close()
        if self._beat is not None:
            self._beat.cancel()
        if self._watch is not None:
            self._watch.cancel()
        self._forget(self)

    def _begin(self) -> None:
        self._watch = self._loop.create_task(self._wait_until_left())
        self._beat = self._loop.call_later(self._heartbeat, self._beats)
        self._feed.on_ready(self._ring)

    def _take(self) -> bytes:
        events = self._feed.take()
        if self._feed.lagged:
            return self._error(ReaderTooSlowError())
        if events:
            self._done = self._feed.finished
            return event_frames(events)
        if self._last_word is not None:
            return self._error(self._last_word)
        if self._beat_due:
            self._beat_due = False
            return HEARTBEAT
        return b""

    def _error(self, error: FlueError) -> bytes:
        self._done = True
        return error_frame(StreamError(instance_id=self._instance_id, error=error_body(error)))

    def _ring(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _beats(self) -> None:
        self._beat_due = True
        self._beat = self._loop.call_later(self._heartbeat, self._beats)
        self._ring()

    async def _wait_until_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._ring()
