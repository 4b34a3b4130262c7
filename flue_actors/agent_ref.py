"""`AgentRef`: the address of one agent instance, as programs and the gateway use it.

A protocol, because the same calls work in process (`Runtime.ref`) and, later, over HTTP: code moves unchanged.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Generic, Literal, Protocol, TypedDict, TypeVar, Unpack, overload

import msgspec
from msgspec import UNSET, UnsetType

from flue_actors.conversation.approval import Verdict
from flue_actors.definition.attaching import File, Image
from flue_actors.definition.guards import Principal
from flue_actors.definition.limits import Limits
from flue_actors.definition.tools import Tool
from flue_actors.events import Event, ModelName, PromptResult, PublicError
from flue_actors.ids import DEFAULT_SESSION, AgentKey
from flue_actors.messages import Message, Usage
from flue_actors.models.protocol import ThinkingLevel
from flue_actors.observing import Subscription
from flue_actors.storage import Attachment

R = TypeVar("R")

IfBusy = Literal["queue", "reject", "interrupt", "steer", "merge", "supersede"]
"""What becomes of a message to an instance that has work:

* ``queue``: it waits its turn. ``reject``: it is refused.
* ``interrupt``: what runs is settled ``aborted`` (reason ``interrupted``); the message waits its turn.
* ``steer``: it joins the running turn at its next tool boundary, and is settled with it. If none comes, it waits.
* ``merge``: all ``merge`` messages that wait side by side become one turn, and are settled with one reply.
* ``supersede``: what waits and has not begun is settled ``aborted`` (reason ``superseded``); the message waits.

"An instance" is one session where the agent has ``concurrency="session"``.
"""


class DispatchReceipt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Proof that a dispatched input is durably accepted. ``accepted_at`` is an ISO timestamp."""

    dispatch_id: str
    submission_id: str
    accepted_at: str


class RunningSubmission(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Work in progress. ``running_since`` is an ISO timestamp."""

    submission_id: str
    session: str
    running_since: str


class InstanceStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an instance does right now. ``queued`` counts accepted inputs that have not started, or wait for a decision.

    ``waiting``: nothing runs, and one of them waits for somebody's decision."""

    state: Literal["idle", "running", "queued", "waiting"]
    running: tuple[RunningSubmission, ...]
    queued: int


class SubmissionInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One accepted input and what became of it. Times are ISO timestamps; ``attempts`` is 0 until it began.

    ``result`` is there when it is ``completed``, ``error`` when it is ``failed`` or ``aborted``.
    """

    submission_id: str
    session: str
    kind: Literal["direct", "dispatch"]
    status: Literal["queued", "running", "waiting", "settled"]
    accepted_at: str
    attempts: int
    outcome: Literal["completed", "failed", "aborted"] | None = None
    started_at: str | None = None
    settled_at: str | None = None
    result: PromptResult | None = None
    error: PublicError | None = None


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One conversation of an instance. ``offset`` names the place of its newest entry.

    ``parent`` is set for one of a subagent: the session that gave it its task.
    """

    name: str
    created_at: str
    offset: str
    parent: str | None = None


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One message of a session. ``offset`` names its place in the session's event order."""

    offset: str
    at: str
    message: Message
    submission_id: str | None = None


class StructuredResult(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """What a prompt with ``result=`` answers.

    Attributes:
        data: The result, as the type that was asked for (as JSON says it, where that was a schema).
        usage, total_usage: As in `PromptResult`.
    """

    data: R
    usage: Usage
    model: ModelName
    total_usage: Usage | UnsetType = UNSET


class ShellResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a command came to. Its output is bounded: of a flood the last part is kept."""

    stdout: str
    stderr: str
    exit_code: int


class ApprovalInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A tool call that waits for somebody's decision. Times are ISO timestamps.

    Attributes:
        id: What it is decided by: no other call has it, ever. `tool_call_id` may come again with some models.
        session: The conversation it is a part of, a subagent's own if it is one's.
    """

    id: str
    submission_id: str
    session: str
    tool_name: str
    tool_call_id: str
    args: dict[str, Any]
    requested_at: str
    expires_at: str


class Sent(TypedDict, total=False):
    """How anything is sent.

    Attributes:
        if_busy: See `IfBusy`.
        principal: Who sends it.
        idempotency_key: Your own name for it (1 to 256 characters). Sent again with the same key, it is accepted once,
            and whoever sends it waits for that one's outcome.
    """

    if_busy: IfBusy
    principal: Principal | None
    idempotency_key: str | None


class Prompted(Sent, total=False):
    """What holds for one prompt only, instead of what the agent's definition says.

    Attributes:
        model: ``"provider/model"``.
        limits: The caps that it names; the others stay the agent's.
        tools: In addition to the agent's. They live in this process: after a restart the model is told that they are gone.
    """

    model: str | None
    thinking_level: ThinkingLevel | None
    limits: Limits | None
    tools: Sequence[Tool]


class Illustrated(Prompted, total=False):
    """What goes along with a message: pictures and files."""

    images: Sequence[Image]
    files: Sequence[File]


class Submitted(Protocol):
    """An accepted input: it is on disk, and it will reach exactly one outcome whoever still watches."""

    @property
    def submission_id(self) -> str:
        """``sub_...``."""
        ...

    @property
    def accepted_at(self) -> str:
        """ISO timestamp."""
        ...

    @property
    def offset(self) -> str:
        """Where its session stood when it was accepted: its events are behind this."""
        ...

    @property
    def feed(self) -> Subscription:
        """Its events, from the first one on (only when submitted with ``watch=True``)."""
        ...

    async def result(self) -> PromptResult:
        """Wait for the outcome. Cancelling the wait does not stop the work.

        Raises:
            TurnError: The submission failed or was aborted.
            StoreError: The store cannot be written now. The input is kept and worked on when it can: ask again.
            InterruptedTurnError: The runtime stops. The input is kept and worked on at the next start.
        """
        ...


class SessionRef(Protocol):
    """One named conversation of an instance."""

    @overload
    async def prompt(self, message: str, *, result: None = None, **how: Unpack[Illustrated]) -> PromptResult: ...
    @overload
    async def prompt(self, message: str, *, result: type[R], **how: Unpack[Illustrated]) -> StructuredResult[R]: ...
    @overload
    async def prompt(
        self, message: str, *, result: Mapping[str, Any], **how: Unpack[Illustrated]
    ) -> StructuredResult[Any]: ...
    async def prompt(self, message: str, *, result: Any = None, **how: Unpack[Illustrated]) -> Any:
        """Send a message and wait for the answer.

        Args:
            result: The shape of the answer that is wanted instead of text: a msgspec Struct, dataclass, TypedDict, pydantic
                model, or a JSON schema.

        Raises:
            InvalidRequestError: The message is blank or not valid Unicode, or the key is impossible.
            ConfigError: ``model`` names none that the runtime has.
            SubmissionConflictError: The key was used for another input of this session.
            SessionBusyError, QueueFullError: The instance does not take it now; nothing was admitted.
            TurnError: It was accepted and settled ``failed`` or ``aborted``.
        """
        ...

    def stream(self, message: str, **how: Unpack[Illustrated]) -> AsyncIterator[Event]:
        """Send a message and watch it: every event until ``idle`` or ``error``. Errors as `prompt` before the first."""
        ...

    async def submit(
        self, message: str, *, watch: bool = False, result: Any = None, **how: Unpack[Illustrated]
    ) -> Submitted:
        """Send a message; returns when it is durably accepted. Errors as `prompt`, without TurnError."""
        ...

    @overload
    async def skill(
        self, name: str, *, args: dict[str, Any] | None = None, result: None = None, **how: Unpack[Prompted]
    ) -> PromptResult: ...
    @overload
    async def skill(
        self, name: str, *, args: dict[str, Any] | None = None, result: type[R], **how: Unpack[Prompted]
    ) -> StructuredResult[R]: ...
    @overload
    async def skill(
        self, name: str, *, args: dict[str, Any] | None = None, result: Mapping[str, Any], **how: Unpack[Prompted]
    ) -> StructuredResult[Any]: ...
    async def skill(
        self, name: str, *, args: dict[str, Any] | None = None, result: Any = None, **how: Unpack[Prompted]
    ) -> Any:
        """Have the agent use one of its skills, and wait for the answer. ``args``: what to work on. Errors as `prompt`.

        Raises:
            SkillNotFoundError: It has no skill of this name.
        """
        ...

    async def task(
        self, prompt: str, *, agent: str | None = None, cwd: str | None = None, **how: Unpack[Sent]
    ) -> PromptResult:
        """Give a task to one of the agent's subagents, past its model, and wait for the answer. Errors as `prompt`.

        Args:
            agent: The subagent's name; None = the only one.
            cwd: Where in the sandbox it works.

        Raises:
            SubagentNotFoundError: It has no subagent of this name.
        """
        ...

    async def shell(
        self, command: str, *, cwd: str | None = None, timeout: float | None = None, **how: Unpack[Sent]
    ) -> ShellResult:
        """Run a command in the agent's sandbox; the conversation remembers it. Errors as `prompt`.

        Raises:
            SandboxMissingError: The agent has no sandbox.
        """
        ...

    async def compact(self, instructions: str | None = None, **how: Unpack[Sent]) -> bool:
        """Replace older messages by a summary now; False when there was nothing to summarise. Errors as `prompt`."""
        ...

    async def dispatch(
        self,
        input: Any,
        *,
        if_busy: IfBusy = "queue",
        principal: Principal | None = None,
        idempotency_key: str | None = None,
    ) -> DispatchReceipt:
        """Hand over an event (JSON) to work on; returns when it is durably accepted. Errors as `submit`."""
        ...

    def events(self, *, after: str | None = None) -> AsyncIterator[Event]:
        """Every event of the session behind offset ``after`` (None: from now on), then live, without end.

        What is stored is replayed; what was never stored (deltas) only while it is at hand. A reader that joins in the
        middle of a reply gets a `MessageSnapshot` of it first, so it misses no text.

        Raises:
            InvalidRequestError: ``after`` is no offset of this session.
            ReaderTooSlowError: Events were lost, because they were not taken in time; go on behind the last one you have.
        """
        ...

    async def history(
        self, *, after: str | None = None, before: str | None = None, limit: int | None = None
    ) -> list[HistoryEntry]:
        """The session's messages in order, between the offsets: the first ``limit``, with ``before`` the last ones."""
        ...

    async def abort(self, *, reason: str = "aborted") -> int:
        """Abort what runs and what waits in this session; returns how many inputs that are.

        When it returns, the wish is durable: each of them is settled ``aborted``, a restart notwithstanding, unless it
        ends by itself before that.
        """
        ...

    async def delete(self) -> None:
        """Remove the conversation; what runs in it is aborted first. Not an error when there is none."""
        ...


class AgentRef(SessionRef, Protocol):
    """One agent instance; the session methods act on its ``default`` session, but `abort` on all of them."""

    @property
    def key(self) -> AgentKey:
        """Agent name and id."""
        ...

    def session(self, name: str = DEFAULT_SESSION) -> SessionRef:
        """Another named session of the same instance."""
        ...

    async def status(self) -> InstanceStatus:
        """What the instance does right now; never waits for it."""
        ...

    async def sessions(self) -> list[SessionInfo]:
        """Its conversations, in order of creation."""
        ...

    async def submission(self, submission_id: str) -> SubmissionInfo:
        """One accepted input and what became of it.

        Raises:
            SubmissionNotFoundError: This instance never accepted it, or it was forgotten.
        """
        ...

    async def wait(self, receipt: "DispatchReceipt | Submitted | str") -> PromptResult:
        """The outcome of an accepted input (a submission's id will do), now or when it is there.

        Raises:
            SubmissionNotFoundError: As `submission`.
            TurnError: It was settled ``failed`` or ``aborted``.
        """
        ...

    async def approvals(self) -> list[ApprovalInfo]:
        """Its tool calls that wait for somebody's decision, oldest first."""
        ...

    async def decide(
        self,
        approval_id: str,
        verdict: Verdict,
        *,
        principal: Principal | None = None,
        reason: str | None = None,
    ) -> None:
        """Decide on a tool call. Deciding the same twice is fine.

        Args:
            principal: Who decides; the subject is recorded.
            reason: Told to the model when it is denied.

        Raises:
            ApprovalNotFoundError: No call waits under this id.
            ApprovalDecidedError: It was decided otherwise before.
        """
        ...

    async def attachment(self, id: str) -> Attachment:
        """A picture or file of its conversations, by the ``attachment`` of the message's content.

        Raises:
            AttachmentNotFoundError: It has none of this id.
        """
        ...

    async def abort_submission(self, submission_id: str, *, reason: str = "aborted") -> bool:
        """As `abort`, one input; False when it is settled already.

        Raises:
            SubmissionNotFoundError: As `submission`.
        """
        ...

    async def erase(self) -> None:
        """Abort everything and remove the instance: sessions, submissions, receipts, files. Nothing of it is left."""
        ...
