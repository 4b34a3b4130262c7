"""Events: everything a turn tells the world, in Flue 0.10's spelling.

One closed union of frozen Structs. An `Event` is encoded as it stands with ``msgspec.json.encode``; what of it a client
may see is decided by `public` below, nowhere else.

Every event carries its correlation: ``instance_id``, ``session``, ``operation_id``, ``turn_id`` and so on, an
``event_index`` counted from 0 within its submission, and an ``offset`` ``<entry seq>-<n>`` within its session. Durable
events stand at ``n == 0`` of the entry they were committed with; ephemeral ones at ``n > 0`` behind the last of them.
"""

from typing import Any, Literal, Self

import msgspec
from msgspec import UNSET, UnsetType

from flue_actors.errors import FlueError
from flue_actors.messages import AssistantMessage, Message, ToolResultMessage, Usage, anonymous

OperationKind = Literal["prompt", "skill", "task", "shell", "compact"]
CompactionReason = Literal["threshold", "overflow", "manual"]
Purpose = Literal["agent", "compaction", "compaction_prefix"]


class _Correlated(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, tag_field="type", gc=False
):
    session: str | UnsetType = UNSET
    operation_id: str | UnsetType = UNSET
    harness: str | UnsetType = UNSET
    instance_id: str | UnsetType = UNSET
    turn_id: str | UnsetType = UNSET
    submission_id: str | UnsetType = UNSET
    dispatch_id: str | UnsetType = UNSET
    run_id: str | UnsetType = UNSET
    task_id: str | UnsetType = UNSET
    parent_session: str | UnsetType = UNSET
    event_index: int | UnsetType = UNSET
    offset: str | UnsetType = UNSET
    timestamp: str | UnsetType = UNSET


class PublicError(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An error as callers see it."""

    type: str
    message: str
    details: str | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET

    @classmethod
    def of(cls, error: FlueError) -> Self:
        """What of ``error`` is written for callers."""
        meta = UNSET if error.meta is None else error.meta
        return cls(type=error.type, message=error.message, details=error.details, meta=meta)


class ModelName(msgspec.Struct, frozen=True):
    """Which model answered."""

    provider: str
    id: str


class PromptResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a prompt answers: ``{text, usage, model}`` on the wire.

    Attributes:
        text: The text blocks of the last reply, joined by newlines.
        usage: The sum over every model call of the operation itself.
        stop_reason: Set when it was not an ordinary stop: ``length``, ``refusal`` and so on.
        data: The structured result, where one was asked for; of a shell command ``{stdout, stderr, exitCode}``.
        total_usage: With its subagents and compactions, where there were any.
    """

    text: str
    usage: Usage
    model: ModelName
    stop_reason: str | UnsetType = UNSET
    data: Any = UNSET
    total_usage: Usage | UnsetType = UNSET


class OperationStart(_Correlated, frozen=True, tag="operation_start"):
    """An operation (one prompt, skill, task...) begins."""

    operation_kind: OperationKind


class AgentStart(_Correlated, frozen=True, tag="agent_start"):
    """The turn loop of an operation begins."""


class TurnStart(_Correlated, frozen=True, tag="turn_start"):
    """One model round trip begins."""

    purpose: Purpose


class TurnInput(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What was sent to the model; not public."""

    system_prompt: str
    messages: tuple[Message, ...]
    tools: list[dict[str, Any]] = []


class TurnRequest(_Correlated, frozen=True, tag="turn_request"):
    """The model is asked. ``input`` is only in the full feed."""

    purpose: Purpose
    model: str
    provider: str
    api: str
    input: TurnInput | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET


class MessageStart(_Correlated, frozen=True, tag="message_start"):
    """A message begins; an assistant's is still empty."""

    message: Message


class AssistantMessageEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The step inside a `MessageUpdate`."""

    type: str
    content_index: int
    partial: AssistantMessage
    delta: str | UnsetType = UNSET
    content: str | UnsetType = UNSET


class MessageUpdate(_Correlated, frozen=True, tag="message_update"):
    """The whole message so far, at every step. Only in the full feed: its size grows with the square of the reply."""

    message: Message
    assistant_message_event: AssistantMessageEvent


class TextDelta(_Correlated, frozen=True, tag="text_delta"):
    """More text of the reply."""

    text: str


class ThinkingStart(_Correlated, frozen=True, tag="thinking_start"):
    """Reasoning begins."""


class ThinkingDelta(_Correlated, frozen=True, tag="thinking_delta"):
    """More reasoning."""

    delta: str


class ThinkingEnd(_Correlated, frozen=True, tag="thinking_end"):
    """Reasoning ends; ``content`` is all of it."""

    content: str


class MessageEnd(_Correlated, frozen=True, tag="message_end"):
    """A message is whole."""

    message: Message


class ToolStart(_Correlated, frozen=True, tag="tool_start"):
    """A tool begins."""

    tool_name: str
    tool_call_id: str
    args: dict[str, Any]


class ToolOutput(msgspec.Struct, frozen=True):
    """What a tool answered."""

    content: tuple[Any, ...]
    details: dict[str, Any] = {}


class ToolCallEnd(_Correlated, frozen=True, tag="tool_call"):
    """A tool ended."""

    tool_name: str
    tool_call_id: str
    is_error: bool
    result: ToolOutput
    duration_ms: int


class TurnEnd(_Correlated, frozen=True, tag="turn_end"):
    """A model round trip and the tools it asked for are done."""

    purpose: Purpose
    message: AssistantMessage
    tool_results: tuple[ToolResultMessage, ...]


class TurnOutput(msgspec.Struct, frozen=True):
    """The reply's content."""

    role: str
    content: tuple[Any, ...]


class Turn(_Correlated, frozen=True, tag="turn"):
    """The account of one model round trip."""

    purpose: Purpose
    duration_ms: int
    model: str
    provider: str
    api: str
    output: TurnOutput
    usage: Usage
    stop_reason: str
    is_error: bool
    error: str | UnsetType = UNSET


class AgentEnd(_Correlated, frozen=True, tag="agent_end"):
    """The turn loop ended; ``messages`` are those it added."""

    messages: tuple[Message, ...]


class OperationError(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Why an operation failed: ``name`` is the error's type code."""

    name: str
    message: str


class Operation(_Correlated, frozen=True, tag="operation"):
    """An operation ended, with its result or error."""

    operation_kind: OperationKind
    duration_ms: int
    is_error: bool
    result: PromptResult | UnsetType = UNSET
    usage: Usage | UnsetType = UNSET
    error: OperationError | UnsetType = UNSET


class TaskStart(_Correlated, frozen=True, tag="task_start"):
    """A subagent is given a task. Its own events carry the same ``task_id``."""

    prompt: str
    agent: str | UnsetType = UNSET
    cwd: str | UnsetType = UNSET


class Task(_Correlated, frozen=True, tag="task"):
    """A subagent's task ended; ``result`` is its last text, ``usage`` what it and its own tasks used."""

    is_error: bool
    duration_ms: int
    result: str | UnsetType = UNSET
    usage: Usage | UnsetType = UNSET


class CompactionStart(_Correlated, frozen=True, tag="compaction_start"):
    """Older messages are about to be replaced by a summary."""

    reason: CompactionReason
    estimated_tokens: int


class CompactionEnd(_Correlated, frozen=True, tag="compaction"):
    """They were. Durable. ``is_error``: no summary came about, and nothing changed."""

    messages_before: int
    messages_after: int
    duration_ms: int
    is_error: bool = False
    usage: Usage | UnsetType = UNSET


class ApprovalRequested(_Correlated, frozen=True, tag="approval_requested"):
    """A tool call waits for somebody's decision, until ``expires_at`` (an ISO timestamp)."""

    approval_id: str
    tool_name: str
    tool_call_id: str
    args: dict[str, Any]
    expires_at: str


class ApprovalDecided(_Correlated, frozen=True, tag="approval_decided"):
    """It was decided. ``by`` is the subject of who decided, where a guard said so; for observers, never for clients."""

    approval_id: str
    decision: Literal["approved", "denied"]
    by: str | UnsetType = UNSET


class Log(_Correlated, frozen=True, tag="log"):
    """A line for the reader of the feed: retries, a tool's own words."""

    level: Literal["info", "warn", "error"]
    message: str
    attributes: dict[str, Any] | UnsetType = UNSET


class StreamInterrupted(_Correlated, frozen=True, tag="stream_interrupted"):
    """A server stopped in the middle of this submission and it is worked on again, as attempt number ``attempt``.

    Durable. What was streamed behind the last durable event does not count. If a piece of a reply was kept, its
    ``message_end`` (stop reason ``aborted``) stands before this event, and the rest of the reply follows as a message of
    its own: ``kept`` is true.
    """

    attempt: int
    kept: bool


class MessageSnapshot(_Correlated, frozen=True, tag="message_snapshot"):
    """The reply being streamed, as far as it is: for a reader who joined in the middle. Replaces what it has of it."""

    message: AssistantMessage


class Idle(_Correlated, frozen=True, tag="idle"):
    """The submission is done and its feed ends."""


class ErrorEvent(_Correlated, frozen=True, tag="error"):
    """The submission failed; the feed ends."""

    error: PublicError


Event = (
    OperationStart
    | AgentStart
    | TurnStart
    | TurnRequest
    | MessageStart
    | MessageUpdate
    | TextDelta
    | ThinkingStart
    | ThinkingDelta
    | ThinkingEnd
    | MessageEnd
    | ToolStart
    | ToolCallEnd
    | TurnEnd
    | Turn
    | AgentEnd
    | Operation
    | TaskStart
    | Task
    | CompactionStart
    | CompactionEnd
    | ApprovalRequested
    | ApprovalDecided
    | Log
    | StreamInterrupted
    | MessageSnapshot
    | Idle
    | ErrorEvent
)

TERMINAL = (Idle, ErrorEvent)
"""The last event of a submission's feed is one of these."""


def public(event: Event) -> Event | None:
    """The event as a client may see it, or None when it is not for clients.

    No system prompt, no tool definitions, nobody's name, and no `MessageUpdate`: the deltas and `MessageEnd` carry the text.
    """
    match event:
        case TextDelta() | ThinkingDelta():
            return event
        case MessageUpdate():
            return None
        case TurnRequest() if event.input is not UNSET:
            return msgspec.structs.replace(event, input=UNSET)
        case MessageStart() | MessageEnd():
            shown = anonymous(event.message)
            return event if shown is event.message else msgspec.structs.replace(event, message=shown)
        case TurnEnd() if event.tool_results:
            return msgspec.structs.replace(event, tool_results=tuple(map(anonymous, event.tool_results)))
        case AgentEnd():
            return msgspec.structs.replace(event, messages=tuple(map(anonymous, event.messages)))
        case ToolCallEnd() if "by" in event.result.details.get("approval", ()):
            said = {name: value for name, value in event.result.details["approval"].items() if name != "by"}
            return msgspec.structs.replace(
                event, result=ToolOutput(event.result.content, {**event.result.details, "approval": said})
            )
        case ApprovalDecided():
            return msgspec.structs.replace(event, by=UNSET)
        case _:
            return event
