"""`AgentRef`: the address of one agent instance, as programs and the gateway use it.

A protocol, because the same calls work in process (`Runtime.ref`) and, later, over HTTP: code moves unchanged.
"""

from collections.abc import AsyncIterator
from typing import Any, Literal, Protocol

import msgspec

from flue_actors.definition.guards import Principal
from flue_actors.events import Event, PromptResult
from flue_actors.ids import DEFAULT_SESSION, AgentKey
from flue_actors.messages import Message
from flue_actors.observing import Subscription

IfBusy = Literal["queue", "reject"]


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
    def feed(self) -> Subscription:
        """Its events, from the first one on (only when submitted with ``watch=True``)."""
        ...

    async def result(self) -> PromptResult:
        """Wait for the outcome. Cancelling the wait does not stop the work.

        Raises:
            TurnError: The submission failed or was aborted.
            StoreError: The store refused in the middle; the outcome is decided at the next start.
        """
        ...


class SessionRef(Protocol):
    """One named conversation of an instance."""

    async def prompt(
        self, message: str, *, if_busy: IfBusy = "queue", principal: Principal | None = None
    ) -> PromptResult:
        """Send a message and wait for the answer.

        Raises:
            InvalidRequestError: The message is blank or not valid Unicode.
            SessionBusyError, QueueFullError: The instance does not take it now; nothing was admitted.
            TurnError: It was accepted and settled ``failed`` or ``aborted``.
        """
        ...

    def stream(
        self, message: str, *, if_busy: IfBusy = "queue", principal: Principal | None = None
    ) -> AsyncIterator[Event]:
        """Send a message and watch it: every event until ``idle`` or ``error``. Errors as `prompt` before the first."""
        ...

    async def submit(
        self, message: str, *, if_busy: IfBusy = "queue", principal: Principal | None = None, watch: bool = False
    ) -> Submitted:
        """Send a message; returns when it is durably accepted. Errors as `prompt`, without TurnError."""
        ...

    async def dispatch(self, input: Any, *, principal: Principal | None = None) -> DispatchReceipt:
        """Hand over an event (JSON) to work on; returns when it is durably accepted."""
        ...

    async def history(self, *, after: str | None = None, limit: int | None = None) -> list[HistoryEntry]:
        """The session's messages in order, behind offset ``after``."""
        ...


class AgentRef(SessionRef, Protocol):
    """One agent instance; the session methods act on its ``default`` session."""

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
