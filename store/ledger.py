"""Applies operations to the database inside the caller's transaction: what is refused, and in which statements.

Runs in the writer's thread. It remembers the keys and last seqs of the sessions in use and who runs, so that an append
is one INSERT; whoever rolls back calls `forget`.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final, assert_never

from msgspec.structs import replace

from flue_actors.errors import FencedError
from flue_actors.ids import AgentKey
from flue_actors.storage import (
    NOTHING_ADMITTED,
    PRUNE_LOOKS,
    Admit,
    Append,
    Claim,
    Committed,
    Decide,
    Erase,
    Op,
    Prune,
    PutAttachment,
    PutKv,
    Rename,
    RequestAbort,
    Requeue,
    Settle,
    Suspend,
    WriteJournal,
)
from flue_actors.store import rows

_REMEMBERED: Final = 10_000
"""Sessions whose keys are remembered, about 300 bytes each; the longest unused one is looked up again."""


class _Session:
    __slots__ = ("instance", "last_seq", "pk")

    def __init__(self, pk: int, instance: int, last_seq: int) -> None:
        self.pk = pk
        self.instance = instance
        self.last_seq = last_seq


class Ledger:
    """The tables, as operations see them."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._cursor = db.cursor()
        self._execute = self._cursor.execute
        self._sessions: dict[tuple[str, str, str], _Session] = {}
        self._running: dict[str, int] = {}
        self._journaled: set[str] | None = None
        """Submissions with a journal, so that the others settle without looking for one. None: not read yet."""
        self._told: dict[str, int] = {}
        """Submissions that the entries of this commit name, and in which session."""
        self._newest: int | None = None
        """The seq of the newest submission, removed ones included. None: not read yet."""

    def forget(self) -> None:
        """What is remembered may be untrue: a transaction was rolled back."""
        self._sessions.clear()
        self._running.clear()
        self._journaled = self._newest = None

    def apply(self, ops: Sequence[Op]) -> Committed:
        """Apply ``ops`` in order.

        Raises:
            FencedError: Refused; what the operations before it wrote is still in the transaction.
            sqlite3.Error: As SQLite says.
        """
        done = NOTHING_ADMITTED
        removed = 0
        self._told.clear()
        for op in ops:
            match op:
                case Append():
                    self._append(op)
                case Claim():
                    self._claim(op)
                case Settle():
                    self._settle(op)
                case Admit():
                    done = self._admit(op, first=op is ops[0])
                    if done.known is not None:
                        return done
                case Prune():
                    removed += self._prune(op)
                case _:
                    self._apply(op)
        return replace(done, removed=removed) if removed else done

    def _apply(
        self, op: WriteJournal | PutKv | PutAttachment | Requeue | Suspend | Decide | RequestAbort | Rename | Erase
    ) -> None:
        match op:
            case WriteJournal():
                self._write_journal(op)
            case PutKv():
                self._put_kv(op)
            case PutAttachment():
                self._put_attachment(op)
            case Requeue() | Suspend():
                self._end_attempt(op)
            case Decide():
                self._decide(op)
            case RequestAbort():
                self._request_abort(op)
            case Rename():
                self._rename(op)
            case Erase():
                self._erase(op)
            case _:
                assert_never(op)

    def _admit(self, op: Admit, *, first: bool) -> Committed:
        new = op.submission
        session = self._find(new.key, new.session)
        if new.idempotency_key is not None:
            if not first:
                raise FencedError(dev=f"submission {new.id} has an idempotency key and is not the first operation")
            known = session and self._execute(rows.FIND_IDEMPOTENT, (session.pk, new.idempotency_key)).fetchone()
            if known:
                return Committed(known=known[0])
        session = session or self._create(new.key, new.session, new.accepted_at)
        seq = self._newest_submission() + 1
        if self._execute(rows.ADMIT, rows.admit_row(new, seq, session.instance, session.pk)).rowcount != 1:
            raise FencedError(dev=f"submission {new.id} is known")
        self._newest = seq
        return Committed(seq, session.last_seq)

    def _claim(self, op: Claim) -> None:
        if self._execute(rows.CLAIM, rows.claim_row(op)).rowcount != 1:
            raise FencedError(dev=f"submission {op.submission_id} is not open at attempt {op.attempt - 1}")
        self._running[op.submission_id] = op.attempt

    def _append(self, op: Append) -> None:
        if op.submission_id is not None:
            self._check_running(op.submission_id, op.attempt)
        if op.entries:
            self._add_entries(op)

    def _add_entries(self, op: Append) -> None:
        session = self._find(op.key, op.session)
        last = first = session.last_seq if session is not None else 0
        for entry in op.entries:
            last += 1
            if entry.seq != last:
                raise FencedError(dev=f"{op.session} of {op.key} goes on at {first + 1}, not {op.entries[0].seq}")
        if session is None:
            session = self._create(op.key, op.session, op.entries[0].at, op.parent)
        pk = session.pk
        for entry in op.entries:
            if entry.submission_id is not None:
                self._told[entry.submission_id] = pk
            self._execute(rows.ADD_ENTRY, (pk, entry.seq, entry.kind, entry.at, entry.submission_id, entry.body))
        session.last_seq = last

    def _settle(self, op: Settle) -> None:
        told_in = self._told.get(op.submission_id)
        if self._execute(rows.SETTLE, rows.settle_row(op, told_in)).rowcount != 1:
            raise FencedError(dev=f"submission {op.submission_id} is not open at attempt {op.attempt}")
        self._running.pop(op.submission_id, None)
        if self._journaled is None or op.submission_id in self._journaled:
            self._remove_journal(op.submission_id)

    def _write_journal(self, op: WriteJournal) -> None:
        self._check_running(op.submission_id, op.attempt)
        if op.kind == "approval" and self._execute(rows.REWRITE_APPROVAL, rows.approval_row(op)).rowcount:
            return
        self._execute(rows.WRITE_JOURNAL, rows.journal_row(op))
        self._with_journal().add(op.submission_id)

    def _decide(self, op: Decide) -> None:
        if self._execute(rows.DECIDE, (op.body, op.submission_id, op.name)).rowcount != 1:
            raise FencedError(dev=f"submission {op.submission_id} does not wait for a decision on {op.name}")
        if op.resume:
            self._execute(rows.RESUME, (op.submission_id,))

    def _remove_journal(self, submission_id: str) -> None:
        journaled = self._with_journal()
        if submission_id in journaled:
            self._execute(rows.REMOVE_JOURNAL, (submission_id,))
            journaled.remove(submission_id)

    def _end_attempt(self, op: Requeue | Suspend) -> None:
        status = "queued" if isinstance(op, Requeue) else "waiting"
        if self._execute(rows.END_ATTEMPT, (status, op.spent_ms, op.submission_id, op.attempt)).rowcount != 1:
            raise FencedError(dev=f"submission {op.submission_id} does not run at attempt {op.attempt}")
        self._running.pop(op.submission_id, None)

    def _request_abort(self, op: RequestAbort) -> None:
        for submission_id in op.submission_ids:
            self._execute(rows.REQUEST_ABORT, (op.reason, submission_id))

    def _erase(self, op: Erase) -> None:
        instance = self._find_instance(op.key)
        if instance is None:
            return
        self._keep_seq()
        self._told.clear()
        for pk, name in self._execute(rows.FIND_SESSIONS, (instance, op.session)).fetchall():
            self._erase_session(instance, pk)
            self._execute(rows.REMOVE_KV, (instance, "frozen", name))
            self._sessions.pop((op.key.agent, op.key.id, name), None)
        if op.session is None:
            self._execute(rows.ERASE_KV, (instance,))
            self._execute(rows.ERASE_ATTACHMENTS, (instance,))
            self._execute(rows.ERASE_INSTANCE, (instance,))

    def _erase_session(self, instance: int, pk: int) -> None:
        for (submission_id,) in self._execute(rows.FIND_OPEN, (instance, pk)).fetchall():
            self._running.pop(submission_id, None)
            self._remove_journal(submission_id)
        self._execute(rows.ERASE_OPEN, (instance, pk))
        self._execute(rows.ERASE_LOOSE, (pk,))
        self._execute(rows.ERASE_TOLD, (pk, pk))
        self._execute(rows.ERASE_ENTRIES, (pk,))
        self._execute(rows.ERASE_SESSION, (pk,))

    def _rename(self, op: Rename) -> None:
        if self._execute(rows.RENAME, {"old": op.old, "new": op.new}).rowcount:
            self._execute(rows.RENAMED, {"new": op.new})
            self._sessions.clear()

    def _prune(self, op: Prune) -> int:
        self._keep_seq()
        return self._execute(rows.PRUNE, (op.limit * PRUNE_LOOKS, op.settled_before, op.limit)).rowcount

    def _keep_seq(self) -> None:
        """Before submissions are removed: the newest may be among them, and no seq is given twice."""
        self._execute(rows.KEEP_SEQ)

    def _newest_submission(self) -> int:
        if self._newest is None:
            self._newest = int(self._execute(rows.NEWEST_SUBMISSION).fetchone()[0])
        return self._newest

    def _with_journal(self) -> set[str]:
        if self._journaled is None:
            self._journaled = {row[0] for row in self._execute(rows.FIND_JOURNALED).fetchall()}
        return self._journaled

    def _put_kv(self, op: PutKv) -> None:
        instance = self._find_instance(op.key)
        if op.body is not None:
            self._execute(rows.PUT_KV, (instance or self._create_instance(op.key), op.kind, op.name, op.body))
        elif instance is not None:
            self._execute(rows.REMOVE_KV, (instance, op.kind, op.name))

    def _put_attachment(self, op: PutAttachment) -> None:
        instance = self._find_instance(op.key) or self._create_instance(op.key)
        self._execute(rows.PUT_ATTACHMENT, (instance, op.id, op.mime_type, op.body))

    def _check_running(self, submission_id: str, attempt: int) -> None:
        if self._running.get(submission_id) == attempt:
            return
        if self._execute(rows.FIND_RUNNING, (submission_id, attempt)).fetchone() is None:
            raise FencedError(dev=f"submission {submission_id} does not run at attempt {attempt}")
        self._running[submission_id] = attempt

    def _find(self, key: AgentKey, name: str) -> _Session | None:
        cached = (key.agent, key.id, name)
        session = self._sessions.pop(cached, None)
        if session is None:
            row = self._execute(rows.FIND_SESSION, cached).fetchone()
            if row is None:
                return None
            session = _Session(*row)
        return self._remember(cached, session)

    def _create(self, key: AgentKey, name: str, at: int, parent: str | None = None) -> _Session:
        above = None if parent is None else self._find(key, parent)
        if parent is not None and above is None:
            raise FencedError(dev=f"{key} has no session {parent} that {name} could belong to")
        instance = self._find_instance(key) or self._create_instance(key)
        pk = self._execute(rows.ADD_SESSION, (instance, name, at, above and above.pk)).lastrowid
        assert pk is not None
        return self._remember((key.agent, key.id, name), _Session(pk, instance, 0))

    def _remember(self, cached: tuple[str, str, str], session: _Session) -> _Session:
        self._sessions[cached] = session
        if len(self._sessions) > _REMEMBERED:
            del self._sessions[next(iter(self._sessions))]
        return session

    def _find_instance(self, key: AgentKey) -> int | None:
        row = self._execute(rows.FIND_INSTANCE, (key.agent, key.id)).fetchone()
        return None if row is None else int(row[0])

    def _create_instance(self, key: AgentKey) -> int:
        pk = self._execute(rows.ADD_INSTANCE, (key.agent, key.id, rows.part(key))).lastrowid
        assert pk is not None
        return pk
