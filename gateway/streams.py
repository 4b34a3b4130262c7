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
from flue_actors.gateway.listening import Listener
from flue_actors.gateway.sse import error_frame, event_frames
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
        self._listener = Listener(receive, heartbeat, self._ring)
        self._instance_id = instance_id
        self._forget = forget
        self._wake: asyncio.Future[None] | None = None
        self._last_word: FlueError | None = None
        self._done = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._listener.begun:
            self._listener.begin()
            self._feed.on_ready(self._ring)
        while not self._done and not self._listener.left:
            chunk = self._take()
            if chunk:
                return chunk
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        raise StopAsyncIteration

    def end(self, error: FlueError) -> None:
        """Say this as the last event, and end."""
        self._last_word = error
        self._ring()

    async def close(self) -> None:
        """Stop watching. Called by the server's side whatever happened."""
        self._feed.close()
        self._listener.close()
        self._forget(self)

    def _take(self) -> bytes:
        events = self._feed.take()
        if self._feed.lagged:
            return self._error(ReaderTooSlowError())
        if events:
            self._done = self._feed.finished
            return event_frames(events)
        if self._last_word is not None:
            return self._error(self._last_word)
        return self._listener.beat()

    def _error(self, error: FlueError) -> bytes:
        self._done = True
        return error_frame(StreamError(instance_id=self._instance_id, error=error_body(error)))

    def _ring(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
