"""Every error of the project, as one tree; each says whose fault it is and what to do next.

    FlueError
    |-- CallerError                  the request cannot be served as sent
    |   |-- InvalidRequestError      invalid_request
    |   |-- InvalidJsonError         invalid_json
    |   |-- RouteNotFoundError       route_not_found
    |   |-- MethodNotAllowedError    method_not_allowed
    |   |-- MediaTypeError           unsupported_media_type
    |   |-- TooLargeError            payload_too_large
    |   |-- RequestTimeoutError      request_timeout      head or body came too slowly
    |   |-- ForbiddenOriginError     forbidden            a browser page of another site
    |   |-- ReaderTooSlowError       reader_too_slow      the work goes on, the watching ended
    |   |-- Denied                   unauthorized, forbidden, not_found, denied: a guard refused
    |   |-- UnknownAgentError        agent_not_found
    |   |-- SessionNotFoundError     session_not_found
    |   |-- SessionBusyError         session_busy         if_busy="reject" and work is running or queued
    |   `-- QueueFullError           queue_full           more than max_queued inputs wait
    |-- DeveloperError               the program that embeds us is wrong
    |   |-- ConfigError              a definition, setting or project file is wrong
    |   `-- NoRuntimeError           a module-level short form was called outside a runtime
    |-- TurnError                    an accepted input that could not be completed
    |   |-- ModelError               model_error          the provider refused or broke
    |   |   |-- ModelOverloadedError model_overloaded     still overloaded after the retries
    |   |   `-- ModelRefusedError    model_refused        the model declined to answer
    |   |-- TurnLimitError           turn_limit           the model asked for tools too many times
    |   |-- DeadlineExceededError    deadline_exceeded
    |   |-- AbortedError             aborted
    |   |-- InterruptedTurnError     interrupted          the process stopped in the middle
    |   `-- InternalError            internal_error       our fault, or a definition that raised
    |-- ToolError                    told to the model as an error result, never to callers
    |   `-- ToolArgumentsError       the arguments do not fit the schema
    |-- UnavailableError             nothing is wrong with the request; come back later
    |   |-- NotStartedError          not_started
    |   |-- DrainingError            draining
    |   `-- OverloadedError          overloaded
    |-- StoreError                   the store refused or cannot be used
    |   |-- StoreUnavailableError    store_unavailable    disk full, I/O error: retry later
    |   |-- StoreOwnedError          another process owns the file
    |   |-- StoreFormatError         written by another format version, or not ours
    |   `-- FencedError              a write of an owner or attempt that was replaced
    `-- ActorError                   the actor layer (`flue_actors.actors`)
        |-- MailboxFullError
        |-- ActorUnavailableError    backing off after failures, or the system is stopping
        |-- ActorStoppedError        stopped for good before the message was handled (a `pykka.ActorDeadError`)
        |-- CallCycleError           the ask would wait for itself
        `-- DepthLimitError          children nest too deep

``type`` is the code callers see on the wire; ``message`` and ``details`` are written for them and hold no path, key,
stack or provider text. ``dev`` is shown in development mode only. The cause is chained with ``raise ... from``.
"""

from typing import Any, ClassVar, Literal

import pykka

Fault = Literal["caller", "developer", "provider", "runtime"]


class FlueError(Exception):
    """Root of the tree.

    Args:
        message: One sentence: what is wrong. Safe to show to the caller.
        details: What to do next. Safe to show to the caller.
        dev: More for the developer; never leaves the process outside development mode.
        meta: Machine-readable facts for the caller (JSON).
        retry_after: Seconds after which the same request may succeed, when known.
    """

    type: ClassVar[str] = "internal_error"
    fault: ClassVar[Fault] = "runtime"
    default_message: ClassVar[str] = "Something went wrong on our side."
    default_details: ClassVar[str] = "Try again; if it keeps failing, ask the operator to look at the log."

    def __init__(
        self,
        message: str | None = None,
        *,
        details: str | None = None,
        dev: str = "",
        meta: dict[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = message if message is not None else self.default_message
        self.details = details if details is not None else self.default_details
        self.dev = dev
        self.meta = meta
        self.retry_after = retry_after
        super().__init__(self.message)


class CallerError(FlueError):
    """The request cannot be served as it was sent."""

    type = "invalid_request"
    fault = "caller"
    default_message = "The request is not valid."
    default_details = "Correct the request and send it again."


class InvalidRequestError(CallerError):
    """A field is missing, has the wrong type or an impossible value."""


class InvalidJsonError(CallerError):
    """Not JSON: a syntax error, bytes that are not UTF-8, half a surrogate pair, or nesting beyond any use."""

    type = "invalid_json"
    default_message = "This is not valid JSON."
    default_details = "Send one JSON value, encoded as UTF-8."


class RouteNotFoundError(CallerError):
    """Nothing lives at this path."""

    type = "route_not_found"
    default_message = "There is nothing at this path."
    default_details = "Check the path."


class MethodNotAllowedError(CallerError):
    """The path exists, the method does not."""

    type = "method_not_allowed"
    default_message = "This path does not support the method."
    default_details = "Use one of the methods in the Allow header."


class MediaTypeError(CallerError):
    """The body has another content type than JSON."""

    type = "unsupported_media_type"
    default_message = "The body must be JSON."
    default_details = "Send the header content-type: application/json."


class TooLargeError(CallerError):
    """Head or body is larger than this server takes."""

    type = "payload_too_large"
    default_message = "The request is too large."
    default_details = "Send a smaller request."


class RequestTimeoutError(CallerError):
    """The request came too slowly."""

    type = "request_timeout"
    default_message = "The request did not arrive in time."
    default_details = "Send the whole request at once."


class ForbiddenOriginError(CallerError):
    """A WebSocket handshake from a page of a site that is not on the allow-list."""

    type = "forbidden"
    default_message = "Pages of this origin may not connect."
    default_details = "Ask the operator to allow the origin."


class ReaderTooSlowError(CallerError):
    """Events were dropped before this reader took them. The work it watched goes on."""

    type = "reader_too_slow"
    default_message = "You read more slowly than the agent writes; the rest of the events was not kept for you."
    default_details = "The work goes on: read its outcome from the conversation."


_DENIALS: dict[int, tuple[str, str]] = {
    401: ("unauthorized", "You have to say who you are."),
    403: ("forbidden", "You may not do this."),
    404: ("not_found", "There is nothing here."),
}


class Denied(CallerError):  # raised by users, and reads as what it says: raise Denied(401)
    """A guard refuses the request with this HTTP status (400 to 599)."""

    default_details = "Send valid credentials, or ask for access."

    def __init__(self, status: int = 403, message: str | None = None, *, details: str | None = None) -> None:
        kind, sentence = _DENIALS.get(status, ("denied", "The request was refused."))
        super().__init__(message or sentence, details=details)
        self.status = status
        self.type = kind  # pyright: ignore[reportAttributeAccessIssue]  # the code depends on the status


class UnknownAgentError(CallerError):
    """No agent of this name is defined here, or it is not reachable this way."""

    type = "agent_not_found"
    default_message = "There is no such agent."
    default_details = "Check the agent's name and that it exposes this transport."


class SessionNotFoundError(CallerError):
    """The instance has no session of this name."""

    type = "session_not_found"
    default_message = "There is no such session."
    default_details = "Check the session's name; a session exists from its first message on."


class SessionBusyError(CallerError):
    """Sent with ``if_busy="reject"`` while work was running or queued."""

    type = "session_busy"
    default_message = "The conversation is busy with an earlier message."
    default_details = 'Wait for it to finish, or send with ifBusy "queue".'


class QueueFullError(CallerError):
    """More than ``max_queued`` inputs wait; ``retry_after`` says when to come back."""

    type = "queue_full"
    default_message = "Too many messages are waiting."
    default_details = "Wait for some of them to finish and send it again."


class DeveloperError(FlueError):
    """The program that defines agents or embeds the runtime is wrong."""

    fault = "developer"
    default_details = "Correct it and try again."


class ConfigError(DeveloperError):
    """A definition, a setting or a project file is wrong; the message names it."""

    type = "config_error"


class NoRuntimeError(DeveloperError):
    """A module-level short form was called where no runtime is in reach."""

    type = "no_runtime"


class TurnError(FlueError):
    """An accepted input that could not be completed; the submission settled ``failed`` or ``aborted``."""


class ModelError(TurnError):
    """The model provider refused the request or broke off. Provider text is in ``dev`` and the log only.

    ``retryable`` says whether the same request may succeed later (overload, reset, half a stream): decided from the
    provider's error class and status, never from its text.
    """

    type = "model_error"
    fault = "provider"
    default_message = "The model could not answer."
    default_details = "Try again; if it keeps failing, ask the operator to check the model configuration."

    def __init__(
        self,
        message: str | None = None,
        *,
        retryable: bool = False,
        details: str | None = None,
        dev: str = "",
        meta: dict[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, details=details, dev=dev, meta=meta, retry_after=retry_after)
        self.retryable = retryable


class ModelOverloadedError(ModelError):
    """The provider was still overloaded or rate limiting after the retries."""

    type = "model_overloaded"
    default_message = "The model is overloaded."
    default_details = "Try again in a moment."


class ModelRefusedError(ModelError):
    """The model declined to answer; text that was streamed before is not a reply."""

    type = "model_refused"
    default_message = "The model declined to answer."
    default_details = "Put the message in other words."


class TurnLimitError(TurnError):
    """The model kept asking for tools beyond the turn limit of one operation."""

    type = "turn_limit"
    default_message = "The agent reached its limit of model calls for one message."
    default_details = "Send a narrower message, or ask the operator to raise the limit."


class DeadlineExceededError(TurnError):
    """The input was not finished within its time budget."""

    type = "deadline_exceeded"
    default_message = "The agent did not finish in time."
    default_details = "Send a narrower message, or ask the operator to raise the time budget."


class AbortedError(TurnError):
    """The work was stopped on request."""

    type = "aborted"
    fault = "caller"
    default_message = "The work was aborted."
    default_details = "Send the message again if it is still wanted."


class InterruptedTurnError(TurnError):
    """The process stopped while the input was being worked on."""

    type = "interrupted"
    default_message = "The server stopped while working on this message."
    default_details = "Send the message again if it is still wanted."


class InternalError(TurnError):
    """Our own fault, or an agent definition that raised. The cause is in the log."""


class ToolError(FlueError):
    """Raise it in a tool to tell the model what went wrong; whoever watches the turn sees the text too.

    Of any other exception the model sees the class's name only: its text may hold a path or a key. The log has all of it.
    """

    type = "tool_error"


class ToolArgumentsError(ToolError):
    """The model's arguments do not fit the tool's schema; the message names field and value, for the model."""


class UnavailableError(FlueError):
    """Nothing is wrong with the request; the server cannot take it now."""

    type = "overloaded"
    default_message = "The server cannot take this now."
    default_details = "Try again later."


class NotStartedError(UnavailableError):
    """The runtime behind this application has not been started."""

    type = "not_started"
    default_message = "The server has not started yet."


class DrainingError(UnavailableError):
    """The runtime is stopping and takes no new work."""

    type = "draining"
    default_message = "The server is shutting down."


class OverloadedError(UnavailableError):
    """The runtime holds as much work as it may."""

    default_message = "The server is overloaded."


class StoreError(FlueError):
    """The store refused, or cannot be used."""

    type = "store_unavailable"
    default_message = "The conversation store cannot be used."


class StoreUnavailableError(StoreError):
    """The disk is full, an I/O error, or a lock that did not clear. Nothing of the refused write was kept."""


class StoreOwnedError(StoreError):
    """Another process owns this store."""

    type = "store_owned"
    fault = "developer"


class StoreFormatError(StoreError):
    """The file is not ours, is damaged, or was written by a newer version."""

    type = "store_format"
    fault = "developer"


class FencedError(StoreError):
    """A write of an owner or an attempt that has been replaced; nothing of it was kept."""

    type = "fenced"
    default_message = "The write was refused: its owner or attempt has been replaced."


class ActorError(FlueError):
    """The actor layer refused."""


class MailboxFullError(ActorError):
    """The mailbox holds as many messages as it may."""

    type = "queue_full"


class ActorUnavailableError(ActorError):
    """The actor is backing off after failures, or its system is stopping."""

    type = "overloaded"


class ActorStoppedError(ActorError, pykka.ActorDeadError):
    """The actor, or its system, stopped before it handled the message."""

    type = "overloaded"
    default_message = "The actor has stopped."


class CallCycleError(ActorError):
    """The ask would, through the asks already waiting, wait for itself."""

    type = "call_cycle"
    fault = "developer"


class DepthLimitError(ActorError):
    """Child actors nest deeper than allowed."""

    type = "depth_limit"
    fault = "developer"
