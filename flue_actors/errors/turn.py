"""An accepted input could not be completed."""

from typing import Any, Final

from flue_actors.errors.root import FlueError


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


class AttemptsExhaustedError(TurnError):
    """The process stopped in the middle of it as often as the agent's `Durability.attempts` allows."""

    type = "attempts_exhausted"
    default_message = "The server stopped too many times while working on this message."
    default_details = "Send it again if it is still wanted; ask the operator what stops the server."


class InternalError(TurnError):
    """Our own fault, or an agent definition that raised. The cause is in the log."""


def turn_error(type: str, message: str, details: str, meta: dict[str, Any] | None = None) -> TurnError:
    """The error a settled submission was settled with, from what its row says."""
    kind = _KINDS.get(type, InternalError)
    return kind(message, details=details, meta=meta)


_KINDS: Final = {
    kind.type: kind
    for kind in (
        ModelError,
        ModelOverloadedError,
        ModelRefusedError,
        TurnLimitError,
        DeadlineExceededError,
        AbortedError,
        InterruptedTurnError,
        AttemptsExhaustedError,
        InternalError,
    )
}
