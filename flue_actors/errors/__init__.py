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
    |   |-- SubmissionNotFoundError  submission_not_found
    |   |-- SubmissionConflictError  submission_conflict  an idempotency key of another input
    |   |-- ApprovalNotFoundError    approval_not_found
    |   |-- ApprovalDecidedError     approval_decided     somebody decided otherwise before
    |   |-- AttachmentNotFoundError  attachment_not_found
    |   |-- SessionBusyError         session_busy         if_busy="reject" and work is running or queued
    |   `-- QueueFullError           queue_full           more than max_queued inputs wait
    |-- DeveloperError               the program that embeds us is wrong
    |   |-- ConfigError              a definition, setting or project file is wrong
    |   `-- NoRuntimeError           a module-level short form was called outside a runtime
    |-- TurnError                    an accepted input that could not be completed
    |   |-- ModelError               model_error          the provider refused or broke
    |   |   |-- ModelOverloadedError model_overloaded     still overloaded after the retries
    |   |   |-- ModelRefusedError    model_refused        the model declined to answer
    |   |   |-- ModelRejectedError   model_rejected       the provider takes no such request
    |   |   `-- ContextOverflowError context_overflow     too long, after compaction too
    |   |-- TurnLimitError           turn_limit           the model asked for tools too many times
    |   |-- TokenLimitError          token_limit
    |   |-- CostLimitError           cost_limit
    |   |-- InstanceLimitError       instance_limit       all model calls of the instance together
    |   |-- ResultUnavailableError   result_unavailable   no structured result
    |   |-- ToolFailedError          tool_failed          of a command or task that was given directly
    |   |-- SkillNotFoundError       skill_not_found
    |   |-- SubagentNotFoundError    subagent_not_found
    |   |-- SandboxMissingError      sandbox_missing      a shell command without a sandbox
    |   |-- WorkspaceError           workspace_error      the sandbox cannot be opened, a skill in it is malformed
    |   |-- DeadlineExceededError    deadline_exceeded
    |   |-- AbortedError             aborted
    |   |-- InterruptedTurnError     interrupted          the process stopped in the middle
    |   |-- AttemptsExhaustedError   attempts_exhausted   the process stopped in the middle too often
    |   `-- InternalError            internal_error       our fault, or a definition that raised
    |-- ToolError                    told to the model as an error result, never to callers
    |   |-- ToolArgumentsError       the arguments do not fit the schema
    |   `-- SandboxError             sandbox_error        the sandbox did not do it
    |       `-- SandboxFileError     sandbox_file_error   no such file, or outside of the sandbox
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

from flue_actors.errors.caller import (
    ApprovalDecidedError,
    ApprovalNotFoundError,
    AttachmentNotFoundError,
    CallerError,
    Denied,
    ForbiddenOriginError,
    InvalidJsonError,
    InvalidRequestError,
    MediaTypeError,
    MethodNotAllowedError,
    QueueFullError,
    ReaderTooSlowError,
    RequestTimeoutError,
    RouteNotFoundError,
    SessionBusyError,
    SessionNotFoundError,
    SubmissionConflictError,
    SubmissionNotFoundError,
    TooLargeError,
    UnknownAgentError,
)
from flue_actors.errors.root import (
    Fault,
    FlueError,
)
from flue_actors.errors.runtime import (
    ActorError,
    ActorStoppedError,
    ActorUnavailableError,
    CallCycleError,
    ConfigError,
    DepthLimitError,
    DeveloperError,
    DrainingError,
    FencedError,
    MailboxFullError,
    NoRuntimeError,
    NotStartedError,
    OverloadedError,
    SandboxError,
    SandboxFileError,
    StoreError,
    StoreFormatError,
    StoreOwnedError,
    StoreUnavailableError,
    ToolArgumentsError,
    ToolError,
    UnavailableError,
)
from flue_actors.errors.turn import (
    AbortedError,
    AttemptsExhaustedError,
    ContextOverflowError,
    CostLimitError,
    DeadlineExceededError,
    InstanceLimitError,
    InternalError,
    InterruptedTurnError,
    ModelError,
    ModelOverloadedError,
    ModelRefusedError,
    ModelRejectedError,
    ResultUnavailableError,
    SandboxMissingError,
    SkillNotFoundError,
    SubagentNotFoundError,
    TokenLimitError,
    ToolFailedError,
    TurnError,
    TurnLimitError,
    WorkspaceError,
    turn_error,
)

__all__ = [
    "AbortedError",
    "ActorError",
    "ActorStoppedError",
    "ActorUnavailableError",
    "ApprovalDecidedError",
    "ApprovalNotFoundError",
    "AttachmentNotFoundError",
    "AttemptsExhaustedError",
    "CallCycleError",
    "CallerError",
    "ConfigError",
    "ContextOverflowError",
    "CostLimitError",
    "DeadlineExceededError",
    "Denied",
    "DepthLimitError",
    "DeveloperError",
    "DrainingError",
    "Fault",
    "FencedError",
    "FlueError",
    "ForbiddenOriginError",
    "InstanceLimitError",
    "InternalError",
    "InterruptedTurnError",
    "InvalidJsonError",
    "InvalidRequestError",
    "MailboxFullError",
    "MediaTypeError",
    "MethodNotAllowedError",
    "ModelError",
    "ModelOverloadedError",
    "ModelRefusedError",
    "ModelRejectedError",
    "NoRuntimeError",
    "NotStartedError",
    "OverloadedError",
    "QueueFullError",
    "ReaderTooSlowError",
    "RequestTimeoutError",
    "ResultUnavailableError",
    "RouteNotFoundError",
    "SandboxError",
    "SandboxFileError",
    "SandboxMissingError",
    "SessionBusyError",
    "SessionNotFoundError",
    "SkillNotFoundError",
    "StoreError",
    "StoreFormatError",
    "StoreOwnedError",
    "StoreUnavailableError",
    "SubagentNotFoundError",
    "SubmissionConflictError",
    "SubmissionNotFoundError",
    "TokenLimitError",
    "TooLargeError",
    "ToolArgumentsError",
    "ToolError",
    "ToolFailedError",
    "TurnError",
    "TurnLimitError",
    "UnavailableError",
    "UnknownAgentError",
    "WorkspaceError",
    "turn_error",
]
