"""The request cannot be served as it was sent."""

from flue_actors.errors.root import FlueError


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


class SubmissionNotFoundError(CallerError):
    """This instance never accepted such an input, or it was forgotten since."""

    type = "submission_not_found"
    default_message = "There is no such submission here."
    default_details = "Check the submission's id; long settled ones are forgotten."


class SubmissionConflictError(CallerError):
    """The idempotency key belongs to another input of this session."""

    type = "submission_conflict"
    default_message = "This idempotency key was used for another message."
    default_details = "Use a new key for a new message."


class ApprovalNotFoundError(CallerError):
    """No call of this instance waits for a decision under this id."""

    type = "approval_not_found"
    default_message = "No tool call waits for approval under this id."
    default_details = "GET .../approvals lists those that do."


class ApprovalDecidedError(CallerError):
    """The call was decided otherwise before."""

    type = "approval_decided"
    default_message = "Another decision was made on this call before."
    default_details = "The first decision counts."


class AttachmentNotFoundError(CallerError):
    """The instance has no attachment of this id."""

    type = "attachment_not_found"
    default_message = "There is no attachment with this id."
    default_details = "The id is in the message that the attachment belongs to."


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
