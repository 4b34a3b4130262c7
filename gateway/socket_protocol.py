"""The socket protocol, version 1. Pure: text in, something to perform or a frame out; events in, frames out.

Rules:

1. The server speaks first: `ready`.
2. A prompt's ``requestId`` is the client's own word for it, 1 to 256 characters, not blank. It is taken from the moment
   the prompt arrives until its `result` or `error`; the same id meanwhile is an error that names no request, so that
   the client does not take it for the first one's outcome.
3. Every request that was let in gets: `started` with its first event, its events, then exactly one `result` or `error`.
   One that was refused gets exactly one `error`.
4. At most ``max_in_flight`` requests at once; one more is refused with `queue_full`.
5. A `stream` gets `event` frames from its offset on, until its `stop`, which is answered by `stopped`; it counts as a
   request, but holds up no server that stops: then it ends with an `error` that names the offset to go on from.
6. An `abort` names a request in flight, and is answered by that one's outcome. Any other is an error that names none.
7. A `decide` is answered by `decided` when it is durable, `approvals` by `approvals`, either by an `error`; each counts as
   a request.
8. A `ping` is answered at once. Errors leave the socket open; only a binary message ends it.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from flue_actors.agent_ref import ApprovalInfo
from flue_actors.errors import CallerError, InvalidRequestError, QueueFullError
from flue_actors.events import ErrorEvent, Event, Idle, Operation, PromptResult
from flue_actors.gateway.errors import error_body, with_offset
from flue_actors.gateway.wire import (
    VERDICTS,
    AbortFrame,
    ApprovalsFrame,
    DecidedFrame,
    DecideFrame,
    ErrorBody,
    ErrorFrame,
    ListFrame,
    PingFrame,
    PongFrame,
    PromptFrame,
    ReadyFrame,
    ResultFrame,
    StartedFrame,
    StopFrame,
    StoppedFrame,
    StreamFrame,
    decode_client_frame,
    encode,
    encode_event,
    encode_shown,
    encode_text,
)
from flue_actors.observing import Shown

Asked = DecideFrame | ListFrame
"""What is answered by one frame."""

Wanted = PromptFrame | AbortFrame | Asked | StreamFrame | StopFrame
"""What a client may ask for that has to be performed."""

MAX_REQUEST_ID: Final = 256

_EVENT = b'{"version":1,"type":"event","requestId":%b,"event":'


class AgentSocket:
    """The conversation on one socket. Give it what arrives; send what it returns."""

    __slots__ = ("_asked", "_instance_id", "_max_in_flight", "_name", "_requests", "_streams", "dev")

    def __init__(self, name: str, instance_id: str, *, max_in_flight: int, dev: bool = False) -> None:
        self._name = name
        self._instance_id = instance_id
        self._max_in_flight = max_in_flight
        self.dev = dev
        self._requests: dict[str, _Request] = {}
        self._asked: dict[str, Asked] = {}
        self._streams: dict[str, bytes] = {}  # what an event of each begins with

    @property
    def in_flight(self) -> int:
        """Requests without an outcome, but streams."""
        return len(self._requests) + len(self._asked)

    def ready(self) -> bytes:
        """The first frame."""
        return encode(ReadyFrame(name=self._name, instance_id=self._instance_id))

    def receive(self, text: str) -> Wanted | bytes:
        """One text message: something to perform, or the frame that answers it at once."""
        try:
            frame = decode_client_frame(text)
            if isinstance(frame, PingFrame):
                return encode(PongFrame(request_id=frame.request_id))
            self._check_request_id(frame)
        except CallerError as error:
            return self._refusal(error)
        if isinstance(frame, AbortFrame | StopFrame):
            return frame
        if self.in_flight + len(self._streams) >= self._max_in_flight:
            return self._error(frame.request_id, error_body(self._too_many()))
        self._let_in(frame)
        return frame

    def receive_binary(self) -> bytes:
        """A binary message: this frame, then the socket is closed with 1003."""
        return self._refusal(InvalidRequestError("Only text messages are understood here."))

    def deliver(self, request_id: str, events: Sequence[Event], cause: Exception | None = None) -> list[bytes]:
        """The frames for a request's next events; after the last of them the request is no longer in flight.

        ``cause`` is what failed it, where a developer may see more of that than the event says.
        """
        request = self._requests[request_id]
        frames: list[bytes] = []
        if events and not request.started:
            request.started = True
            frames.append(encode(StartedFrame(request_id=request_id)))
        for event in events:
            if isinstance(event, ErrorEvent):
                frames.append(self._settle(request_id, self._error(request_id, self._shown(event, cause))))
                break
            frames.append(b"%b%b}" % (request.event_prefix, encode_event(event)))
            if isinstance(event, Operation) and event.task_id is UNSET:
                request.result = event.result if event.result is not UNSET else None
            elif isinstance(event, Idle):
                frames.append(self._settle(request_id, self._result(request)))
                break
        return frames

    def fail(self, request_id: str, error: Exception) -> bytes:
        """The frame for a request that was refused, or whose events cannot be followed any further."""
        return self._settle(request_id, self._error(request_id, error_body(error, dev=self.dev)))

    def decided(self, frame: DecideFrame) -> bytes:
        """The frame for a decision that is durable."""
        del self._asked[frame.request_id]
        verdict = VERDICTS[frame.decision]
        return encode(DecidedFrame(request_id=frame.request_id, approval_id=frame.approval_id, decision=verdict))

    def listed(self, frame: ListFrame, approvals: list[ApprovalInfo]) -> bytes:
        """The frame for a wish to know them."""
        del self._asked[frame.request_id]
        return encode(ApprovalsFrame(request_id=frame.request_id, approvals=approvals))

    def refused(self, frame: Asked, error: Exception) -> bytes:
        """The frame for either of these that did not work."""
        del self._asked[frame.request_id]
        return self._error(frame.request_id, error_body(error, dev=self.dev))

    def follow(self, request_id: str, shown: Sequence[Shown]) -> list[bytes]:
        """The frames for a stream's next events."""
        prefix = self._streams[request_id]
        return [b"%b%b}" % (prefix, encode_shown(each)) for each in shown]

    def stopped(self, request_id: str) -> bytes:
        """The last frame of a stream that was stopped, or whose session is gone."""
        del self._streams[request_id]
        return encode(StoppedFrame(request_id=request_id))

    def broken(self, request_id: str, error: Exception, *, offset: str | None = None) -> bytes:
        """The last frame of a stream that cannot go on here; ``offset`` is where it goes on elsewhere."""
        del self._streams[request_id]
        body = error_body(error, dev=self.dev)
        return self._error(request_id, body if offset is None else with_offset(body, offset))

    def not_aborted(self, request_id: str, error: Exception) -> bytes:
        """The frame for a request that could not be aborted; it goes on."""
        body = error_body(error, dev=self.dev)
        return encode(ErrorFrame(error=msgspec.structs.replace(body, meta={"requestId": request_id})))

    def _let_in(self, frame: PromptFrame | Asked | StreamFrame) -> None:
        if isinstance(frame, StreamFrame):
            self._streams[frame.request_id] = _EVENT % encode_text(frame.request_id)
        elif isinstance(frame, Asked):
            self._asked[frame.request_id] = frame
        else:
            self._requests[frame.request_id] = _Request(frame.request_id)

    def _check_request_id(self, frame: Wanted) -> None:
        request_id = frame.request_id
        if not request_id.strip() or len(request_id) > MAX_REQUEST_ID:
            raise InvalidRequestError(f"The requestId must have 1 to {MAX_REQUEST_ID} characters and not be blank.")
        known = self._streams if isinstance(frame, StopFrame) else self._requests
        if isinstance(frame, AbortFrame | StopFrame) and request_id not in known:
            raise InvalidRequestError(
                "No request with this requestId is in flight.",
                details="It may have its outcome already. Name a request of this socket.",
                meta={"requestId": request_id},
            )
        if isinstance(frame, PromptFrame | Asked | StreamFrame) and (
            request_id in self._requests or request_id in self._streams or request_id in self._asked
        ):
            raise InvalidRequestError(
                "This requestId belongs to a request that is still in flight.",
                details="Use a new requestId for every request.",
                meta={"requestId": request_id},
            )

    def _too_many(self) -> QueueFullError:
        return QueueFullError(
            "Too many requests are in flight on this socket.", retry_after=1, meta={"limit": self._max_in_flight}
        )

    def _shown(self, event: ErrorEvent, cause: Exception | None) -> ErrorBody:
        if cause is not None:
            return error_body(cause, dev=self.dev)
        error = event.error
        return ErrorBody(type=error.type, message=error.message, details=error.details, meta=error.meta)

    def _refusal(self, error: CallerError) -> bytes:
        return encode(ErrorFrame(error=error_body(error, dev=self.dev)))

    def _error(self, request_id: str, body: ErrorBody) -> bytes:
        return encode(ErrorFrame(request_id=request_id, error=body))

    def _result(self, request: "_Request") -> bytes:
        return encode(ResultFrame(request_id=request.id, result=request.result))

    def _settle(self, request_id: str, last: bytes) -> bytes:
        del self._requests[request_id]
        return last


class _Request:
    __slots__ = ("event_prefix", "id", "result", "started")

    def __init__(self, id: str) -> None:
        self.id = id
        self.started = False
        self.result: PromptResult | None = None
        self.event_prefix = _EVENT % encode_text(id)
