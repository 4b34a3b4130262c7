"""What an attempt adds to a session: entries made, written and shown, in that order."""

from collections.abc import Callable, Sequence

from flue_actors import events
from flue_actors.conversation.entries import Source
from flue_actors.ids import TASK_PREFIX
from flue_actors.messages import Message, SignalMessage, ToolResultMessage
from flue_actors.session import Session
from flue_actors.storage import Append, Entry, JournalKind, Op, WriteJournal
from flue_actors.submissions import Pending
from flue_actors.turns.emitting import Emitter
from flue_actors.turns.recording import Recording

Added = tuple[Entry, Message]
"""A message in the transcript, and the row that has to be committed for it."""


class EntryWriter:
    """The entries and events of one attempt at one submission, in its own session or in that of one of its tasks.

    Attributes:
        added: The messages of the operation, signals apart.
        claimed: The attempt began: its writes are guarded by its number.
        turn_id: The model round trip that is under way.

    Args:
        host: The submission.
        spent: Milliseconds of work in all attempts at it so far; None: whoever derives from this says so.
        task_id: Whose session it is, if it is a task's.
        parent: The session that one belongs to.
    """

    def __init__(
        self,
        session: Session,
        host: Pending,
        recording: Recording,
        emitter: Emitter,
        spent: Callable[[], int] | None = None,
        *,
        task_id: str | None = None,
        parent: str | None = None,
    ) -> None:
        self._session = session
        self._host = host
        self._spent = spent
        self._parent = parent
        self._prefix = "" if task_id is None else f"{TASK_PREFIX}{task_id}/"
        self._unshown: list[Added] = []
        self.recording = recording
        self.emitter = emitter
        self.added: list[Message] = []
        self.claimed = task_id is not None
        self.turn_id: str | None = None

    @property
    def session(self) -> Session:
        """Where the entries go."""
        return self._session

    @property
    def host(self) -> Pending:
        """The submission that is worked on."""
        return self._host

    @property
    def spent_ms(self) -> int:
        """Milliseconds of work in all attempts so far."""
        return self._spent() if self._spent is not None else 0

    def add(self, message: Message, source: Source) -> Added:
        """Take a message of the turn under way into the transcript."""
        entry = self._session.add(message, source, submission_id=self._host.submission_id, turn_id=self.turn_id)
        self.added.append(message)
        return entry, message

    def signal(self, signal: SignalMessage) -> Entry:
        """Take what the runtime tells the model into the transcript."""
        return self._session.add(signal, "runtime", submission_id=self._host.submission_id)

    def append(self, *entries: Entry, of: Pending | None = None) -> Append:
        """The write of these entries, guarded by the attempt of the host, or of another member."""
        submission = (of or self._host).submission
        return Append(
            key=submission.key,
            session=self._session.name,
            entries=entries,
            submission_id=submission.id if self.claimed else None,  # before the claim there is no attempt to guard
            attempt=submission.attempt,
            parent=self._parent,
        )

    async def record(self, message: Message, source: Source, *together: Op) -> None:
        """Make a message durable, and what is written together with it; then show it, and before it what was recorded
        before it. Raises StoreError."""
        added = self.add(message, source)
        self._unshown.append(added)
        await self.recording.commit(self.append(added[0]), *together)
        while added in self._unshown:
            self.show(self._unshown.pop(0))

    async def record_result(self, result: ToolResultMessage, together: Sequence[Op]) -> None:
        """`record` for the answer of a tool. Raises StoreError."""
        await self.record(result, "tool", *together)

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
        self.recording.write(self.journal("text", place, text.encode()))

    async def journal_step(self, name: str, value: bytes) -> None:
        """Keep the value of a durable tool's step. Raises StoreError."""
        await self.recording.commit(self.journal("step", name, value))

    def named(self, name: str) -> str:
        """What a row of this name is called in the submission's journal."""
        return self._prefix + name

    def journal(self, kind: JournalKind, name: str, body: bytes) -> WriteJournal:
        """The write of a row of the submission's journal."""
        return WriteJournal(
            submission_id=self._host.submission_id,
            attempt=self._host.submission.attempt,
            kind=kind,
            name=self.named(name),
            body=body,
            after=self._session.seq,
            spent_ms=self.spent_ms,
        )
