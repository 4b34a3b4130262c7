"""What `memory` holds: the content of a store in plain dicts, and what each operation does to it.

Every change leaves the step that takes it back, so a refused commit leaves nothing.
"""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import TypeVar, assert_never

from msgspec.structs import replace

from flue_actors.errors import FencedError
from flue_actors.ids import AgentKey
from flue_actors.storage import (
    NOTHING_ADMITTED,
    Admit,
    Append,
    Claim,
    Committed,
    Entry,
    Erase,
    JournalRow,
    KvKind,
    Op,
    Prune,
    PutKv,
    RequestAbort,
    Requeue,
    SessionRecord,
    Settle,
    Submission,
    WriteJournal,
)

K = TypeVar("K")
V = TypeVar("V")

LOOKS: int = 10
"""Rows that a `Prune` looks at for each that it may remove."""


class Tables:
    """The rows. Read them as you like; only `apply` writes."""

    def __init__(self) -> None:
        self.submissions: dict[str, Submission] = {}
        """In acceptance order."""
        self.sessions: dict[tuple[AgentKey, str], SessionRecord] = {}
        """In order of creation; ``last_seq`` stays 0 here."""
        self.entries: dict[tuple[AgentKey, str], tuple[Entry, ...]] = {}
        self.journals: dict[str, tuple[JournalRow, ...]] = {}
        self.kv: dict[tuple[AgentKey, KvKind], Mapping[str, bytes]] = {}
        self.instances: dict[AgentKey, None] = {}
        self._seq = 0
        self._undo: list[Callable[[], object]] = []

    def newest(self, key: AgentKey) -> int:
        """When the instance got its newest entry, or its newest session; 0 without either."""
        times = [record.created_at for (of, _), record in self.sessions.items() if of == key]
        times += [rows[-1].at for (of, _), rows in self.entries.items() if of == key and rows]
        return max(times, default=0)

    def apply(self, ops: Sequence[Op]) -> Committed:
        """All of ``ops`` or none.

        Raises:
            FencedError: Refused.
        """
        self._undo.clear()
        seq = self._seq
        try:
            return self._apply_all(ops)
        except FencedError:
            self._seq = seq
            for step in reversed(self._undo):
                step()
            raise

    def _apply_all(self, ops: Sequence[Op]) -> Committed:
        done = NOTHING_ADMITTED
        removed = 0
        for op in ops:
            match op:
                case Admit():
                    done = self._admit(op, first=op is ops[0])
                    if done.known is not None:
                        return done
                case Prune():
                    removed += self._prune(op)
                case _:
                    self._apply(op)
        return replace(done, removed=removed) if removed else done

    def _apply(self, op: Claim | Append | WriteJournal | Requeue | RequestAbort | Settle | PutKv | Erase) -> None:
        match op:
            case Claim():
                self._claim(op)
            case Append():
                self._append(op)
            case WriteJournal():
                self._write_journal(op)
            case Requeue():
                self._requeue(op)
            case RequestAbort():
                self._request_abort(op)
            case Settle():
                self._settle(op)
            case PutKv():
                self._put_kv(op)
            case Erase():
                self._erase(op)
            case _:
                assert_never(op)

    def _admit(self, op: Admit, *, first: bool) -> Committed:
        new = op.submission
        if new.idempotency_key is not None:
            if not first:
                raise FencedError(dev=f"submission {new.id} has an idempotency key and is not the first operation")
            known = self._known(new)
            if known is not None:
                return Committed(known=known)
        if new.id in self.submissions:
            raise FencedError(dev=f"submission {new.id} is known")
        admitted = Submission(
            id=new.id,
            key=new.key,
            session=new.session,
            kind=new.kind,
            payload=new.payload,
            accepted_at=new.accepted_at,
            seq=self._seq + 1,
            policy=new.policy,
            idempotency_key=new.idempotency_key,
            dispatch_id=new.dispatch_id,
            principal=new.principal,
            deadline=new.deadline,
        )
        self._touch(new.key, new.session, new.accepted_at)
        self._put(self.submissions, new.id, admitted)
        self._seq += 1
        return Committed(admitted.seq, len(self.entries[new.key, new.session]))

    def _known(self, new: Submission) -> str | None:
        for held in self.submissions.values():
            if (held.idempotency_key, held.key, held.session) == (new.idempotency_key, new.key, new.session):
                return held.id
        return None

    def _claim(self, op: Claim) -> None:
        old = self.submissions.get(op.submission_id)
        if old is None or old.outcome is not None or old.attempt != op.attempt - 1:
            raise FencedError(dev=f"submission {op.submission_id} is not open at attempt {op.attempt - 1}")
        claimed = replace(
            old,
            status="running",
            attempt=op.attempt,
            host=op.host,
            started_at=op.at if old.started_at is None else old.started_at,
            deadline=op.deadline,
            version=op.version,
            fingerprint=op.fingerprint,
        )
        self._put(self.submissions, old.id, claimed)

    def _append(self, op: Append) -> None:
        if op.submission_id is not None:
            self._running(op.submission_id, op.attempt)
        if not op.entries:
            return
        rows = self.entries.get((op.key, op.session), ())
        last = len(rows)
        if [entry.seq for entry in op.entries] != list(range(last + 1, last + 1 + len(op.entries))):
            raise FencedError(dev=f"session {op.session} of {op.key} goes on at {last + 1}, not {op.entries[0].seq}")
        self._touch(op.key, op.session, op.entries[0].at)
        self._put(self.entries, (op.key, op.session), rows + op.entries)

    def _write_journal(self, op: WriteJournal) -> None:
        self._running(op.submission_id, op.attempt)
        row = JournalRow(
            kind=op.kind, name=op.name, body=op.body, after=op.after, spent_ms=op.spent_ms, attempt=op.attempt
        )
        self._put(self.journals, op.submission_id, (*self.journals.get(op.submission_id, ()), row))

    def _requeue(self, op: Requeue) -> None:
        old = self._running(op.submission_id, op.attempt)
        queued = replace(old, status="queued", excused=old.excused + 1, spent_ms=op.spent_ms)
        self._put(self.submissions, old.id, queued)

    def _request_abort(self, op: RequestAbort) -> None:
        for submission_id in op.submission_ids:
            old = self.submissions.get(submission_id)
            if old is not None and old.outcome is None and old.abort is None:
                self._put(self.submissions, submission_id, replace(old, abort=op.reason))

    def _settle(self, op: Settle) -> None:
        old = self.submissions.get(op.submission_id)
        if old is None or old.outcome is not None or old.attempt != op.attempt:
            raise FencedError(dev=f"submission {op.submission_id} is not open at attempt {op.attempt}")
        settled = replace(old, status="settled", outcome=op.outcome, settled_at=op.at, result=op.result, error=op.error)
        self._put(self.submissions, old.id, settled)
        self._remove(self.journals, old.id)

    def _put_kv(self, op: PutKv) -> None:
        values = dict(self.kv.get((op.key, op.kind), {}))
        if op.body is not None:
            self._put(self.instances, op.key, None)
            values[op.name] = op.body
        else:
            values.pop(op.name, None)
        self._put(self.kv, (op.key, op.kind), values)

    def _erase(self, op: Erase) -> None:
        for key, session in list(self.sessions):
            if key == op.key and op.session in {None, session}:
                self._erase_session(key, session)
        if op.session is None:
            self._remove(self.instances, op.key)
            for key, kind in list(self.kv):
                if key == op.key:
                    self._remove(self.kv, (key, kind))

    def _erase_session(self, key: AgentKey, session: str) -> None:
        self._remove(self.sessions, (key, session))
        self._remove(self.entries, (key, session))
        for held in list(self.submissions.values()):
            if (held.key, held.session) == (key, session):
                self._remove(self.submissions, held.id)
                self._remove(self.journals, held.id)
        self._put_kv(PutKv(key=key, kind="frozen", name=session, body=None))

    def _prune(self, op: Prune) -> int:
        looked_at = list(self.submissions.values())[: op.limit * LOOKS]
        old = [held for held in looked_at if held.settled_at is not None and held.settled_at < op.settled_before]
        for held in old[: op.limit]:
            self._remove(self.submissions, held.id)
        return len(old[: op.limit])

    def _running(self, submission_id: str, attempt: int) -> Submission:
        running = self.submissions.get(submission_id)
        if running is None or running.status != "running" or running.attempt != attempt:
            raise FencedError(dev=f"submission {submission_id} does not run at attempt {attempt}")
        return running

    def _touch(self, key: AgentKey, session: str, at: int) -> None:
        """Create the instance and the session on first touch."""
        if (key, session) not in self.sessions:
            self._put(self.instances, key, None)
            self._put(self.sessions, (key, session), SessionRecord(name=session, created_at=at, last_seq=0))
            self._put(self.entries, (key, session), ())

    def _put(self, table: MutableMapping[K, V], key: K, value: V) -> None:
        if key in table:
            before = table[key]
            self._undo.append(lambda: table.__setitem__(key, before))
        else:
            self._undo.append(lambda: table.__delitem__(key))
        table[key] = value

    def _remove(self, table: MutableMapping[K, V], key: K) -> None:
        if key in table:
            before = dict(table)  # the order too
            del table[key]
            self._undo.append(lambda: (table.clear(), table.update(before)))
