"""`AgentRef`: the address of one agent instance, as programs and the gateway use it.

A protocol, because the same calls work in process (`Runtime.ref`) and, later, over HTTP: code moves unchanged.
"""

from collections.abc import AsyncIterator
from typing import Any, Literal, Protocol

import msgspec

from flue_actors.definition.guards import Principal
from flue_actors.events import Event, PromptResult, PublicError
from flue_actors.ids import DEFAULT_SESSION, AgentKey
from flue_actors.messages import Message
from flue_actors.observing import Subscription

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
    """What an instance does right now. ``queued`` counts accepted inputs that have not started."""

    state: Literal["idle", "running", "queued"]
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
    """One conversation of an instance. ``offset`` names the place of its newest entry."""

    name: str
    created_at: str
    offset: str


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One message of a session. ``offset`` names its place in the session's event order."""

    offset: str
    at: str
    message: Message
    submission_id: str | None = None


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

    async def prompt(
        self,
        message: str,
        *,
        if_busy: IfBusy = "queue",
        principal: Principal | None = None,
        idempotency_key: str | None = None,
    ) -> PromptResult:
        """Send a message and wait for the answer.

        Args:
            idempotency_key: Your own name for this message (1 to 256 characters). Sent again with the same key, it is
                accepted once, and this waits for that one's outcome.

        Raises:
            InvalidRequestError: The message is blank or not valid Unicode, or the key is impossible.
            SubmissionConflictError: The key was used for another input of this session.
            SessionBusyError, QueueFullError: The instance does not take it now; nothing was admitted.
            TurnError: It was accepted and settled ``failed`` or ``aborted``.
        """
        ...

    def stream(
        self,
        message: str,
        *,
        if_busy: IfBusy = "queue",
        principal: Principal | None = None,
        idempotency_key: str | None = None,
    ) -> AsyncIterator[Event]:
        """Send a message and watch it: every event until ``idle`` or ``error``. Errors as `prompt` before the first."""
        ...

    async def submit(
        self,
        message: str,
        *,
        if_busy: IfBusy = "queue",
        principal: Principal | None = None,
        idempotency_key: str | None = None,
        watch: bool = False,
    ) -> Submitted:
        """Send a message; returns when it is durably accepted. Errors as `prompt`, without TurnError."""
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

    async def abort_submission(self, submission_id: str, *, reason: str = "aborted") -> bool:
        """As `abort`, one input; False when it is settled already.

        Raises:
            SubmissionNotFoundError: As `submission`.
        """
        ...

    async def erase(self) -> None:
        """Abort everything and remove the instance: sessions, submissions, receipts, files. Nothing of it is left."""
        ...
