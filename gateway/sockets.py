"""One open socket at work: messages in, prompts submitted, events out. Performs what `socket_protocol` decides.

Nothing here waits for a turn: a prompt is one short task until its input is on disk; from there on its events call back.
While the peer does not read, no events are taken: they stay in the instance's ring, which forgets the oldest, and a
reader who lost some is cut off. So a socket holds one batch of frames at most, and no turn ever waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol

from flue_actors.agent_ref import Submitted
from flue_actors.events import ErrorEvent, Event, PromptResult
from flue_actors.gateway.socket_protocol import AgentSocket
from flue_actors.gateway.wire import PromptFrame

GOING_AWAY: Final = 1001
UNSUPPORTED_DATA: Final = 1003
POLICY_VIOLATION: Final = 1008
TRY_AGAIN_LATER: Final = 1013

Submit = Callable[[PromptFrame], Coroutine[Any, Any, Submitted]]


class Channel(Protocol):
    """The wire under a session."""

    @property
    def congested(self) -> bool:
        """True while the peer has not taken what was written; ends with a call of `SocketSession.writable`."""
        ...

    def write(self, frames: Sequence[bytes]) -> None:
        """Send text messages, in one write. Ignored once closed."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame behind what was written. Idempotent."""
        ...


class SocketSession:
    """What the wire calls. ``submit`` admits a prompt; ``forget`` is called once, when the connection is gone."""

    def __init__(
        self,
        protocol: AgentSocket,
        channel: Channel,
        submit: Submit,
        *,
        expires_at: float | None = None,
        forget: "Callable[[SocketSession], None]",
    ) -> None:
        self.expires_at = expires_at
        self._protocol = protocol
        self._channel = channel
        self._submit = submit
        self._forget = forget
        self._submitted: dict[str, Submitted] = {}  # whose events are not all taken
        self._admitting: set[Awaitable[Submitted]] = set()
        self._leaving = False
        self._lost = False

    @property
    def busy(self) -> bool:
        """True while a request is in flight."""
        return self._protocol.in_flight > 0

    def open(self) -> None:
        """The handshake is done."""
        self._channel.write([self._protocol.ready()])

    def receive_text(self, text: str) -> None:
        """A text message arrived."""
        outcome = self._protocol.receive(text)
        if isinstance(outcome, bytes):
            self._channel.write([outcome])
            return
        # Prompts are admitted in the order of these tasks' first steps, which is the order they are created in.
        task = asyncio.get_running_loop().create_task(self._submit(outcome))
        self._admitting.add(task)
        task.add_done_callback(partial(self._admitted, outcome.request_id))

    def receive_binary(self) -> None:
        """A binary message arrived."""
        self._channel.write([self._protocol.receive_binary()])
        self._channel.close(UNSUPPORTED_DATA, "text messages only")

    def writable(self) -> None:
        """The peer reads again."""
        for request_id, submitted in list(self._submitted.items()):
            self._ready(request_id, submitted)

    def go_away(self) -> None:
        """The server stops: close now if nothing is in flight, otherwise with the last outcome."""
        self._leaving = True
        self._leave_if_idle()

    def expire(self) -> None:
        """The credentials that opened this socket are no longer valid."""
        self._channel.close(POLICY_VIOLATION, "credentials expired")

    def lost(self) -> None:
        """The connection is gone. Its work goes on; only the watching ends. Idempotent."""
        if self._lost:
            return
        self._lost = True
        for submitted in self._submitted.values():
            submitted.feed.close()
        self._submitted.clear()
        self._forget(self)

    def _admitted(self, request_id: str, task: "asyncio.Task[Submitted]") -> None:
        self._admitting.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Exception):
            self._channel.write([self._protocol.fail(request_id, error)])
            self._leave_if_idle()
            return
        submitted = task.result()
        if self._lost:
            submitted.feed.close()
            return
        self._submitted[request_id] = submitted
        submitted.feed.on_ready(partial(self._ready, request_id, submitted))

    def _ready(self, request_id: str, submitted: Submitted) -> None:
        if self._channel.congested:
            return
        feed = submitted.feed
        events = feed.take()
        if feed.lagged:
            self._channel.close(TRY_AGAIN_LATER, "events were lost: read faster")
            return
        if feed.finished:
            feed.close()
            del self._submitted[request_id]
        if self._protocol.dev and events and isinstance(events[-1], ErrorEvent):
            outcome = asyncio.get_running_loop().create_task(submitted.result())
            outcome.add_done_callback(partial(self._failed, request_id, events))
        elif events:
            self._channel.write(self._protocol.deliver(request_id, events))
        if feed.finished:
            self._leave_if_idle()

    def _failed(self, request_id: str, events: Sequence[Event], outcome: "asyncio.Task[PromptResult]") -> None:
        """In development: the last events, with more of the error than they hold."""
        if outcome.cancelled() or self._lost:
            return
        cause = outcome.exception()
        frames = self._protocol.deliver(request_id, events, cause if isinstance(cause, Exception) else None)
        self._channel.write(frames)
        self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        if self._leaving and not self.busy:
            self._channel.close(GOING_AWAY, "server shutting down")
