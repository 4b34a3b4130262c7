"""Whether the client of an event stream is still there, and when it is due a heartbeat."""

import asyncio
from collections.abc import Callable

from flue_actors.gateway.asgi import Receive
from flue_actors.gateway.leaving import until_left
from flue_actors.gateway.sse import HEARTBEAT


class Listener:
    """The client of one stream. ``ring`` is called whenever there is news of it.

    Attributes:
        begun: It is listened to.
        left: It is gone.
    """

    def __init__(self, receive: Receive, heartbeat: float, ring: Callable[[], None]) -> None:
        self._receive = receive
        self._heartbeat = heartbeat
        self._ring = ring
        self._watch: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._beat_due = False
        self.begun = False
        self.left = False

    def begin(self) -> None:
        """Listen to it until `close`."""
        loop = asyncio.get_running_loop()
        self.begun = True
        self._watch = loop.create_task(self._wait_until_left())
        self._timer = loop.call_later(self._heartbeat, self._beats)

    def beat(self) -> bytes:
        """What to send it if nothing else was; empty while it is not due."""
        due, self._beat_due = self._beat_due, False
        return HEARTBEAT if due else b""

    def close(self) -> None:
        """Listen no more. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    def _beats(self) -> None:
        self._beat_due = True
        self._timer = asyncio.get_running_loop().call_later(self._heartbeat, self._beats)
        self._ring()

    async def _wait_until_left(self) -> None:
        await until_left(self._receive)
        self.left = True
        self._ring()
