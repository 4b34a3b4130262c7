"""What one attempt at a submission adds to its session, from the claim to the outcome of everybody in the party."""

import asyncio
from collections.abc import Sequence
from typing import Any

from flue_actors import events
from flue_actors.conversation.entries import SettledBody, settled_entry
from flue_actors.events import OperationKind
from flue_actors.services import Services
from flue_actors.session import Session
from flue_actors.storage import Entry
from flue_actors.submissions import Pending
from flue_actors.turns.emitting import Emitter
from flue_actors.turns.entry_writer import EntryWriter
from flue_actors.turns.party import Party
from flue_actors.turns.recording import Recording


class TurnRecord(EntryWriter):
    """The entries and events of one attempt."""

    def __init__(
        self, services: Services, session: Session, party: Party, *, spent_ms: int, kind: OperationKind
    ) -> None:
        self._services = services
        self._party = party
        self._kind: OperationKind = kind
        self._spent_before = spent_ms
        self._started = asyncio.get_running_loop().time()
        self._operation_id = services.ids.operation()
        self._emitters: dict[str, Emitter] = {}
        emitter = self._make_emitter(party.host, session)
        super().__init__(session, party.host, Recording(services, party.pause), emitter)

    @property
    def spent_ms(self) -> int:
        """Milliseconds of work in all attempts so far."""
        return self._spent_before + self._elapsed()

    def emitter_of(self, member: Pending) -> Emitter:
        """Emits the events of one member of the party."""
        return self._emitters.get(member.submission_id) or self._make_emitter(member, self.session)

    def _make_emitter(self, member: Pending, session: Session) -> Emitter:
        emitter = self._emitters[member.submission_id] = Emitter(
            member.submission,
            self._operation_id,
            session.position,
            feed=member.instance.feed,
            observers=self._services.observers,
            clock=self._services.clock,
        )
        return emitter

    def outlive(self) -> None:
        """It is settled. What is written from here on is guarded by no attempt, and answers for no write of one."""
        self.claimed = False
        self.recording = Recording(self._services, self._party.pause)

    def announce(self) -> None:
        """Show that the work begins."""
        self.emitter.emit(events.OperationStart, operation_kind=self._kind)
        self.emitter.emit(events.AgentStart)

    def settled(self, body: SettledBody) -> list[Entry]:
        """The entries that end every member."""
        now = self._services.clock.now_ms()
        return [settled_entry(self.session.next_seq(), now, each.submission_id, body) for each in self._party.members]

    def settled_body(self, **fields: Any) -> SettledBody:
        """What these entries say."""
        return SettledBody(
            duration_ms=self._elapsed(), operation_id=self._operation_id, operation_kind=self._kind, **fields
        )

    def show_end(
        self,
        settled: Sequence[Entry],
        body: SettledBody,
        last: type[events.Idle] | type[events.ErrorEvent],
        says: dict[str, Any],
        **how: Any,
    ) -> None:
        """Show every member that it ended: its operation with ``how`` (result or error), and its last event."""
        self.emitter.turn(None)
        if self.claimed:  # else nobody was told that it began
            self.emitter.emit(events.AgentEnd, messages=tuple(self.added))
        for member, entry in zip(self._party.members, settled, strict=True):
            self.emitter_of(member).emit(
                events.Operation,
                durable=entry.seq,
                operation_kind=self._kind,
                duration_ms=body.duration_ms,
                is_error="error" in how,
                usage=body.usage,
                **how,
            )
            self.emitter_of(member).emit(last, **says)

    def _elapsed(self) -> int:
        return round((asyncio.get_running_loop().time() - self._started) * 1000)
