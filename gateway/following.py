"""One session's stream (SSE) at work: hands what is next to the server as one write, beats on silence, notices who left.

Nothing is taken while the server still holds the last chunk back for a slow reader; one who lost events meanwhile gets a
last `error` event that says where to go on.
"""

from collections.abc import Callable
from typing import Self

from flue_actors.errors import FlueError
from flue_actors.gateway.asgi import Receive
from flue_actors.gateway.errors import error_body, with_offset
from flue_actors.gateway.listening import Listener
from flue_actors.gateway.sse import HEARTBEAT, error_frame, shown_frames
from flue_actors.gateway.wire import StreamError
from flue_actors.streaming import SessionStream


class FollowStream:
    """The chunks of one answer, as Falcon wants a response's stream: an async iterator with `close`."""

    def __init__(
        self,
        stream: SessionStream,
        receive: Receive,
        *,
        instance_id: str,
        heartbeat: float,
        forget: "Callable[[FollowStream], None]",
    ) -> None:
        self._stream = stream
        self._listener = Listener(receive, heartbeat, stream.nudge)
        self._instance_id = instance_id
        self._forget = forget
        self._last_word: FlueError | None = None
        self._done = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._listener.begun:
            self._listener.begin()
            return HEARTBEAT  # the answer begins at once, however long nothing happens
        while not (self._done or self._listener.left or self._stream.ended):
            if self._last_word is not None:
                return self._error(self._last_word)
            if beat := self._listener.beat():
                return beat
            try:
                found = await self._stream.next()
            except FlueError as error:
                return self._error(error)
            if found:
                return shown_frames(found)
        raise StopAsyncIteration

    def end(self, error: FlueError) -> None:
        """Say this as the last event, and end."""
        self._last_word = error
        self._stream.nudge()

    async def close(self) -> None:
        """Stop following. Called by the server's side whatever happened."""
        self._stream.close()
        self._listener.close()
        self._forget(self)

    def _error(self, error: FlueError) -> bytes:
        self._done = True
        body = with_offset(error_body(error), self._stream.offset)
        # Without an id: a browser comes back by itself, with the last one it was given.
        return error_frame(StreamError(instance_id=self._instance_id, error=body), id=b"")
