"""`Runtime.ref`: the in-process `agent_ref.AgentRef`."""

import json
from collections.abc import AsyncIterator
from typing import Any, Protocol

from flue_actors.agent_ref import (
    DispatchReceipt,
    HistoryEntry,
    IfBusy,
    InstanceStatus,
    RunningSubmission,
)
from flue_actors.clock import iso
from flue_actors.conversation.entries import is_message, read_message
from flue_actors.definition.guards import Principal
from flue_actors.errors import InvalidRequestError, ReaderTooSlowError
from flue_actors.events import Event, PromptResult
from flue_actors.ids import DEFAULT_SESSION, AgentKey
from flue_actors.storage import Store
from flue_actors.submissions import DispatchInput, Input, LiveInstance, Pending, PromptInput


class RefHost(Protocol):
    """What a ref needs from its runtime."""

    @property
    def store(self) -> Store:
        """Where history is read."""
        ...

    async def admit(
        self, key: AgentKey, session: str, given: Input, *, if_busy: IfBusy, principal: Principal | None, watch: bool
    ) -> Pending:
        """Accept an input; see `admission.Admission.admit`."""
        ...

    def live(self, key: AgentKey) -> LiveInstance | None:
        """What the instance has under way, if anything."""
        ...


class LocalSessionRef:
    """One named conversation of an instance in this process. See `agent_ref.SessionRef`."""

    __slots__ = ("_host", "_name", "key")

    def __init__(self, host: RefHost, key: AgentKey, name: str = DEFAULT_SESSION) -> None:
        self._host = host
        self._name = name
        self.key = key

    async def prompt(
        self, message: str, *, if_busy: IfBusy = "queue", principal: Principal | None = None
    ) -> PromptResult:
        """Send a message and wait for the answer."""
        pending = await self.submit(message, if_busy=if_busy, principal=principal)
        return await pending.result()

    async def stream(
        self, message: str, *, if_busy: IfBusy = "queue", principal: Principal | None = None
    ) -> AsyncIterator[Event]:
        """Send a message and watch it: every event until ``idle`` or ``error``.

        Raises:
            ReaderTooSlowError: Events were lost, because they were not taken in time; the work goes on.
        """
        pending = await self.submit(message, if_busy=if_busy, principal=principal, watch=True)
        with pending.feed as feed:
            async for batch in feed.batches():
                for event in batch:
                    yield event
            if feed.lagged:
                raise ReaderTooSlowError

    async def submit(
        self, message: str, *, if_busy: IfBusy = "queue", principal: Principal | None = None, watch: bool = False
    ) -> Pending:
        """Send a message; returns when it is durably accepted."""
        return await self._host.admit(
            self.key, self._name, PromptInput(message), if_busy=if_busy, principal=principal, watch=watch
        )

    async def dispatch(self, input: Any, *, principal: Principal | None = None) -> DispatchReceipt:
        """Hand over an event (JSON) to work on; returns when it is durably accepted."""
        given = DispatchInput(_snapshot(input))
        pending = await self._host.admit(self.key, self._name, given, if_busy="queue", principal=principal, watch=False)
        return DispatchReceipt(
            dispatch_id=pending.submission.dispatch_id or "",
            submission_id=pending.submission_id,
            accepted_at=pending.accepted_at,
        )

    async def history(self, *, after: str | None = None, limit: int | None = None) -> list[HistoryEntry]:
        """The session's messages in order, behind offset ``after``."""
        entries = await self._host.store.entries(self.key, self._name, after=_seq(after), limit=limit)
        return [
            HistoryEntry(
                offset=f"{entry.seq}-0",
                at=iso(entry.at),
                message=read_message(entry).message,
                submission_id=entry.submission_id,
            )
            for entry in entries
            if is_message(entry)
        ]


class LocalAgentRef(LocalSessionRef):
    """One agent instance in this process. See `agent_ref.AgentRef`."""

    __slots__ = ()

    def session(self, name: str = DEFAULT_SESSION) -> LocalSessionRef:
        """Another named session of the same instance."""
        return LocalSessionRef(self._host, self.key, name)

    async def status(self) -> InstanceStatus:
        """What the instance does right now; never waits for it."""
        live = self._host.live(self.key)
        if live is None:
            return InstanceStatus(state="idle", running=(), queued=0)
        running = tuple([_running(pending) for pending in live.running])
        return InstanceStatus(
            state="running" if running else "queued", running=running, queued=live.pending - len(running)
        )


def _running(pending: Pending) -> RunningSubmission:
    return RunningSubmission(
        submission_id=pending.submission_id,
        session=pending.submission.session,
        running_since=iso(pending.started_at),
    )


def _seq(offset: str | None) -> int:
    if offset is None:
        return 0
    seq, dash, n = offset.partition("-")
    if not dash or not seq.isdecimal() or not n.isdecimal():
        raise InvalidRequestError(
            "The offset is not valid.", details='Send an offset as received: "<number>-<number>".'
        )
    return int(seq)


def _snapshot(value: Any) -> Any:
    """A deep copy of JSON-like data. Raises InvalidRequestError for anything JSON cannot say."""
    try:
        return json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            "The input is not JSON.",
            details="Send only objects, arrays, strings, finite numbers, booleans and null, without cycles.",
        ) from error
