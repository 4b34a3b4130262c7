"""The streams of one open socket: each a task that sends what comes, as long as the peer reads."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from flue_actors.errors import DrainingError, FlueError
from flue_actors.gateway.socket_protocol import AgentSocket
from flue_actors.gateway.wire import StreamFrame
from flue_actors.streaming import SessionStream

logger = logging.getLogger("flue_actors.gateway")

Follow = Callable[[StreamFrame], SessionStream]
Write = Callable[[Sequence[bytes]], None]


class SocketStreams:
    """See the module.

    Args:
        congested: True while the peer has not taken what was written; `writable` is called when that ends.
    """

    def __init__(self, protocol: AgentSocket, follow: Follow, write: Write, congested: Callable[[], bool]) -> None:
        self._protocol = protocol
        self._follow = follow
        self._write = write
        self._congested = congested
        self._writable = asyncio.Event()
        self._open: dict[str, tuple[SessionStream, asyncio.Task[None]]] = {}

    def start(self, frame: StreamFrame) -> None:
        """Begin to send."""
        try:
            stream = self._follow(frame)
        except FlueError as error:
            self._write([self._protocol.broken(frame.request_id, error)])
            return
        task = asyncio.get_running_loop().create_task(self._run(frame.request_id, stream))
        self._open[frame.request_id] = stream, task

    def stop(self, request_id: str) -> None:
        """End one; the peer is told."""
        stream, task = self._open[request_id]
        task.cancel()
        self._end(request_id, stream, self._protocol.stopped(request_id))

    def writable(self) -> None:
        """The peer reads again."""
        self._writable.set()

    def go_away(self) -> None:
        """The server stops: every stream ends, and says where to go on."""
        for request_id, (stream, task) in list(self._open.items()):
            task.cancel()
            error = DrainingError(retry_after=1)
            self._end(request_id, stream, self._protocol.broken(request_id, error, offset=stream.offset))

    def close(self) -> None:
        """The peer is gone."""
        for stream, task in self._open.values():
            task.cancel()
            stream.close()
        self._open.clear()

    async def _run(self, request_id: str, stream: SessionStream) -> None:
        try:
            while not stream.ended:
                if found := await stream.next():
                    self._write(self._protocol.follow(request_id, found))
                while self._congested():
                    self._writable.clear()
                    await self._writable.wait()
            last = self._protocol.stopped(request_id)
        except Exception as error:
            if not isinstance(error, FlueError):
                logger.exception("a stream failed")
            last = self._protocol.broken(request_id, error, offset=stream.offset)
        self._end(request_id, stream, last)

    def _end(self, request_id: str, stream: SessionStream, last: bytes) -> None:
        stream.close()
        self._open.pop(request_id, None)
        self._write([last])
