"""What one attempt adds to its session: entries made, written and shown, in that order."""

import asyncio
from collections.abc import Sequence
from typing import Any

from flue_actors import events
from flue_actors.conversation.entries import SettledBody, Source, settled_entry
from flue_actors.emitting import Emitter
from flue_actors.messages import Message, SignalMessage, ToolResultMessage
from flue_actors.party import Party
from flue_actors.recording import Recording
from flue_actors.services import Services
from flue_actors.session import Session
from flue_actors.storage import Append, Entry, JournalKind, WriteJournal
from flue_actors.submissions import Pending

Added = tuple[Entry, Message]
"""A message in the transcript, and the row that has to be committed for it."""


class TurnRecord:
    """The entries and events of one attempt.

    Attributes:
        added: The messages of the operation, signals apart.
        claimed: The attempt began: its writes are guarded by its number.
        turn_id: The model round trip that is under way.
    """

    def __init__(self, services: Services, session: Session, party: Party, *, spent_ms: int) -> None:
        self._services = services
        self._session = session
        self._party = party
        self._submission = party.host.submission
        self._spent_ms = spent_ms
        self._started = asyncio.get_running_loop().time()
        self._recording = Recording(services, party.pause)
        self._operation_id = services.ids.operation()
        self._emitters: dict[str, Emitter] = {}
        self.emitter = self.emitter_of(party.host)
        self._unshown: list[Added] = []
        self.added: list[Message] = []
        self.claimed = False
        self.turn_id: str | None = None

    @property
    def recording(self) -> Recording:
        """The writes."""
        return self._recording

    @property
    def spent_ms(self) -> int:
        """Milliseconds of work in all attempts so far."""
        return self._spent_ms + self._elapsed()

    def emitter_of(self, member: Pending) -> Emitter:
        """Emits the events of one member of the party."""
        emitter = self._emitters.get(member.submission_id)
        if emitter is None:
            emitter = self._emitters[member.submission_id] = Emitter(
                member.submission,
                self._operation_id,
                self._session.position,
                feed=member.instance.feed,
                observers=self._services.observers,
                clock=self._services.clock,
            )
        return emitter

    def add(self, message: Message, source: Source) -> Added:
        """Take a message of the turn under way into the transcript."""
        entry = self._session.add(message, source, submission_id=self._submission.id, turn_id=self.turn_id)
        self.added.append(message)
        return entry, message

    def signal(self, signal: SignalMessage) -> Entry:
        """Take what the runtime tells the model into the transcript."""
        return self._session.add(signal, "runtime", submission_id=self._submission.id)

    def append(self, *entries: Entry, of: Pending | None = None) -> Append:
        """The write of these entries, guarded by the attempt of the host, or of another member."""
        submission = (of or self._party.host).submission
        return Append(
            key=submission.key,
            session=submission.session,
            entries=entries,
            submission_id=submission.id if self.claimed else None,  # before the claim there is no attempt to guard
            attempt=submission.attempt,
        )

    async def record(self, message: Message, source: Source) -> None:
        """Make a message durable, then show it, and before it what was recorded before it. Raises StoreError."""
        added = self.add(message, source)
        self._unshown.append(added)
        await self._recording.commit(self.append(added[0]))
        while added in self._unshown:
            self.show(self._unshown.pop(0))

    def show_recorded(self) -> None:
        """Show what was recorded and, cut off, not shown. It is stored: something behind it is."""
        while self._unshown:
            self.show(self._unshown.pop(0))

    def show(self, added: Added) -> None:
        """Show a message that is stored now."""
        entry, message = added
        if isinstance(message, ToolResultMessage):
            self.emitter.emit(events.MessageStart, message=message)
        self.emitter.emit(events.MessageEnd, durable=entry.seq, message=message)

    def journal_text(self, place: str, text: str) -> None:
        """Keep a piece of a long reply (see `model_call.Journal`); not awaited."""
        self._recording.write(self._journal("text", place, text.encode()))

    async def journal_step(self, name: str, value: bytes) -> None:
        """Keep the value of a durable tool's step. Raises StoreError."""
        await self._recording.commit(self._journal("step", name, value))

    def settled(self, body: SettledBody) -> list[Entry]:
        """The entries that end every member."""
        now = self._services.clock.now_ms()
        return [settled_entry(self._session.next_seq(), now, each.submission_id, body) for each in self._party.members]

    def settled_body(self, **fields: Any) -> SettledBody:
        """What these entries say."""
        return SettledBody(duration_ms=self._elapsed(), operation_id=self._operation_id, **fields)

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
                operation_kind="prompt",
                duration_ms=body.duration_ms,
                is_error="error" in how,
                usage=body.usage,
                **how,
            )
            self.emitter_of(member).emit(last, **says)

    def _journal(self, kind: JournalKind, name: str, body: bytes) -> WriteJournal:
        return WriteJournal(
            submission_id=self._submission.id,
            attempt=self._party.host.submission.attempt,
            kind=kind,
            name=name,
            body=body,
            after=self._session.seq,
            spent_ms=self.spent_ms,
        )

    def _elapsed(self) -> int:
        return round((asyncio.get_running_loop().time() - self._started) * 1000)
