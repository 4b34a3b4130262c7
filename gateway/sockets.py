"""One open socket at work: messages in, prompts submitted, events out. Performs what `socket_protocol` decides.

Nothing here waits for a turn: a prompt is one short task until its input is on disk; from there on its events call back.
While the peer does not read, no events are taken: they stay in the instance's ring, which forgets the oldest, and a
reader who lost some is cut off. So a socket holds one batch of frames at most, and no turn ever waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from flue_actors.agent_ref import ApprovalInfo, Submitted
from flue_actors.events import ErrorEvent, Event, PromptResult
from flue_actors.gateway.socket_protocol import AgentSocket
from flue_actors.gateway.socket_streams import SocketStreams
from flue_actors.gateway.wire import AbortFrame, DecideFrame, ListFrame, PromptFrame, StopFrame, StreamFrame
from flue_actors.streaming import SessionStream

T = TypeVar("T")

ABORTED: Final = "aborted"
DISCONNECTED: Final = "disconnected"
"""Why a submission is aborted: its client said so, or left."""

GOING_AWAY: Final = 1001
UNSUPPORTED_DATA: Final = 1003
POLICY_VIOLATION: Final = 1008
TRY_AGAIN_LATER: Final = 1013


class Instance(Protocol):
    """The agent instance a session talks to."""

    async def submit(self, frame: PromptFrame) -> Submitted:
        """Admit a prompt."""
        ...

    async def abort(self, submission_id: str, reason: str) -> bool:
        """Abort a submission."""
        ...

    async def decide(self, frame: DecideFrame) -> None:
        """Record a decision."""
        ...

    async def approvals(self) -> list[ApprovalInfo]:
        """Calls that wait for one."""
        ...

    def follow(self, frame: StreamFrame) -> SessionStream:
        """Open a stream."""
        ...


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
    """What the wire calls.

    Args:
        forget: Called once, when the connection is gone.
    """

    def __init__(
        self,
        protocol: AgentSocket,
        channel: Channel,
        instance: Instance,
        *,
        expires_at: float | None = None,
        forget: "Callable[[SocketSession], None]",
    ) -> None:
        self.expires_at = expires_at
        self._protocol = protocol
        self._channel = channel
        self._instance = instance
        self._forget = forget
        self._submitted: dict[str, Submitted] = {}  # whose events are not all taken
        self._working: set[Awaitable[Any]] = set()  # prompts being admitted, aborts and decisions being made durable
        self._admitting: dict[str, bool] = {}  # requests on their way; True when aborted meanwhile
        self._bound: set[str] = set()  # whose work ends with the connection
        self._streams = SocketStreams(protocol, instance.follow, channel.write, lambda: channel.congested)
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
        elif isinstance(outcome, AbortFrame):
            self._abort_request(outcome.request_id)
        elif isinstance(outcome, DecideFrame):
            self._work(self._instance.decide(outcome), partial(self._decided, outcome))
        elif isinstance(outcome, ListFrame):
            self._work(self._instance.approvals(), partial(self._listed, outcome))
        elif isinstance(outcome, StreamFrame):
            self._streams.start(outcome)
        elif isinstance(outcome, StopFrame):
            self._streams.stop(outcome.request_id)
        else:
            # Prompts are admitted in the order of these tasks' first steps, which is the order they are created in.
            self._admitting[outcome.request_id] = False
            self._work(self._instance.submit(outcome), partial(self._admitted, outcome))

    def receive_binary(self) -> None:
        """A binary message arrived."""
        self._channel.write([self._protocol.receive_binary()])
        self._channel.close(UNSUPPORTED_DATA, "text messages only")

    def writable(self) -> None:
        """The peer reads again."""
        self._streams.writable()
        for request_id, submitted in list(self._submitted.items()):
            self._ready(request_id, submitted)

    def go_away(self) -> None:
        """The server stops: close now if nothing is in flight, otherwise with the last outcome."""
        self._leaving = True
        self._streams.go_away()
        self._leave_if_idle()

    def expire(self) -> None:
        """The credentials that opened this socket are no longer valid."""
        self._channel.close(POLICY_VIOLATION, "credentials expired")

    def lost(self) -> None:
        """The connection is gone. Its work goes on unless it was bound to it; the watching ends. Idempotent."""
        if self._lost:
            return
        self._lost = True
        self._streams.close()
        for request_id, submitted in self._submitted.items():
            submitted.feed.close()
            if request_id in self._bound:
                self._abort_submission(request_id, submitted, DISCONNECTED)
        self._submitted.clear()
        self._forget(self)

    def _admitted(self, frame: PromptFrame, task: "asyncio.Task[Submitted]") -> None:
        request_id = frame.request_id
        aborted = self._admitting.pop(request_id)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Exception):
            self._reply(self._protocol.fail(request_id, error))
            return
        submitted = task.result()
        if aborted or (self._lost and frame.cancel_on_disconnect):
            self._abort_submission(request_id, submitted, ABORTED if aborted else DISCONNECTED)
        if self._lost:
            submitted.feed.close()
            return
        if frame.cancel_on_disconnect:
            self._bound.add(request_id)
        self._submitted[request_id] = submitted
        submitted.feed.on_ready(partial(self._ready, request_id, submitted))

    def _abort_request(self, request_id: str) -> None:
        if (submitted := self._submitted.get(request_id)) is not None:
            self._abort_submission(request_id, submitted, ABORTED)
        elif request_id in self._admitting:
            self._admitting[request_id] = True

    def _abort_submission(self, request_id: str, submitted: Submitted, reason: str) -> None:
        self._work(self._instance.abort(submitted.submission_id, reason), partial(self._aborted, request_id))

    def _aborted(self, request_id: str, task: "asyncio.Task[bool]") -> None:
        """It has its outcome, or gets it; all there is to say is that the wish was not recorded."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._channel.write([self._protocol.not_aborted(request_id, error)])

    def _decided(self, frame: DecideFrame, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            error = task.exception()
            self._reply(
                self._protocol.refused(frame, error) if isinstance(error, Exception) else self._protocol.decided(frame)
            )

    def _listed(self, frame: ListFrame, task: "asyncio.Task[list[ApprovalInfo]]") -> None:
        if not task.cancelled():
            error = task.exception()
            refused = isinstance(error, Exception)
            self._reply(
                self._protocol.refused(frame, error) if refused else self._protocol.listed(frame, task.result())
            )

    def _reply(self, frame: bytes) -> None:
        self._channel.write([frame])
        self._leave_if_idle()

    def _work(self, work: Coroutine[Any, Any, T], done: "Callable[[asyncio.Task[T]], None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        task.add_done_callback(done)

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
            self._bound.discard(request_id)
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
