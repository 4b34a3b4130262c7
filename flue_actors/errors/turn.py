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


class ModelRejectedError(ModelError):
    """The provider takes no such request (400, 422): something in it is malformed for it, a picture it cannot read often.

    What pictures and files the input brought are left out of what the model is shown from then on.
    """

    type = "model_rejected"
    default_message = "The model's provider did not take the request."
    default_details = (
        "If the message brought pictures or files, send it without them, or smaller, or in another format;"
        " else ask the operator to check the model configuration."
    )


class ContextOverflowError(ModelError):
    """The request is longer than the model reads, and leaving out older messages did not help.

    ``window`` is how many tokens it reads, where the provider says so; else 0.
    """

    type = "context_overflow"
    default_message = "The conversation has become too long for the model."
    default_details = "Send a shorter message, or begin a new session."

    def __init__(
        self,
        message: str | None = None,
        *,
        retryable: bool = False,
        details: str | None = None,
        dev: str = "",
        meta: dict[str, Any] | None = None,
        window: int = 0,
    ) -> None:
        super().__init__(message, retryable=retryable, details=details, dev=dev, meta=meta)
        self.window = window


class TurnLimitError(TurnError):
    """The model kept asking for tools beyond the turn limit of one operation."""

    type = "turn_limit"
    default_message = "The agent reached its limit of model calls for one message."
    default_details = "Send a narrower message, or ask the operator to raise the limit."


class TokenLimitError(TurnError):
    """The model calls for one message used up the agent's token limit."""

    type = "token_limit"
    default_message = "The agent reached its limit of tokens for one message."
    default_details = "Send a narrower message, or ask the operator to raise the limit."


class CostLimitError(TurnError):
    """The model calls for one message cost as much as the agent's limit allows."""

    type = "cost_limit"
    default_message = "The agent reached its cost limit for one message."
    default_details = "Send a narrower message, or ask the operator to raise the limit."


class InstanceLimitError(TurnError):
    """All model calls of this instance together used up its total limit."""

    type = "instance_limit"
    default_message = "This instance has used up what all its messages together may."
    default_details = (
        "Its other conversations have too. Go on under another id, or ask the operator to raise the limit."
    )


class ResultUnavailableError(TurnError):
    """The model gave up on the structured result, or did not come to a valid one. ``meta`` has its ``reason``."""

    type = "result_unavailable"
    default_message = "The agent could not come to a result of the requested shape."
    default_details = "Put the request in other words, or ask for a simpler result."


class ToolFailedError(TurnError):
    """A command or task that was given directly failed; the message says how."""

    type = "tool_failed"
    default_message = "It could not be done."
    default_details = "The message says what went wrong."


class SkillNotFoundError(TurnError):
    """The agent has no skill of this name. ``meta`` lists those it has."""

    type = "skill_not_found"
    fault = "caller"
    default_message = "The agent has no skill of this name."
    default_details = "Use the name of a skill that its definition or workspace has."


class SubagentNotFoundError(TurnError):
    """The agent declares no subagent of this name. ``meta`` lists those it has."""

    type = "subagent_not_found"
    fault = "caller"
    default_message = "The agent has no subagent of this name."
    default_details = "Use the name of a profile in its definition's subagents."


class SandboxMissingError(TurnError):
    """A shell command was sent to an agent that has no sandbox."""

    type = "sandbox_missing"
    fault = "caller"
    default_message = "The agent has no sandbox to run commands in."
    default_details = "Give its definition a sandbox."


class WorkspaceError(TurnError):
    """The agent's sandbox cannot be opened, or what stands in it breaks a rule (a malformed skill). ``dev`` says what."""

    type = "workspace_error"
    default_message = "The agent's workspace cannot be used."
    default_details = "Ask the operator to look at the log."


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
        ModelRejectedError,
        ContextOverflowError,
        TurnLimitError,
        TokenLimitError,
        CostLimitError,
        InstanceLimitError,
        ResultUnavailableError,
        ToolFailedError,
        SkillNotFoundError,
        SubagentNotFoundError,
        SandboxMissingError,
        WorkspaceError,
        DeadlineExceededError,
        AbortedError,
        InterruptedTurnError,
        AttemptsExhaustedError,
        InternalError,
    )
}
