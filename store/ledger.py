"""Applies operations to the database inside the caller's transaction: what is refused, and in which statements.

Runs in the writer's thread. It remembers the keys and last seqs of the sessions in use and who runs, so that an append
is one INSERT; whoever rolls back calls `forget`.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final, assert_never

from flue_actors.errors import FencedError
from flue_actors.ids import AgentKey
from flue_actors.storage import NOTHING_ADMITTED, Admit, Append, Claim, Committed, Entry, Op, PutKv, Settle
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

    def forget(self) -> None:
        """What is remembered may be untrue: a transaction was rolled back."""
        self._sessions.clear()
        self._running.clear()

    def apply(self, ops: Sequence[Op]) -> Committed:
        """Apply ``ops`` in order.

        Raises:
            FencedError: Refused; what the operations before it wrote is still in the transaction.
            sqlite3.Error: As SQLite says.
        """
        done = NOTHING_ADMITTED
        for op in ops:
            match op:
                case Append():
                    self._append(op)
                case Claim():
                    self._claim(op)
                case Settle():
                    self._settle(op)
                case Admit():
                    done = self._admit(op)
                case PutKv():
                    self._put_kv(op)
                case _:
                    assert_never(op)
        return done

    def _admit(self, op: Admit) -> Committed:
        new = op.submission
        session = self._find(new.key, new.session) or self._create(new.key, new.session, new.accepted_at)
        cursor = self._execute(rows.ADMIT, rows.admit_row(new, session.instance, session.pk))
        if cursor.rowcount != 1:
            raise FencedError(dev=f"submission {new.id} is known")
        assert cursor.lastrowid is not None
        return Committed(cursor.lastrowid, session.last_seq)

    def _claim(self, op: Claim) -> None:
        if self._execute(rows.CLAIM, rows.claim_row(op)).rowcount != 1:
            raise FencedError(dev=f"submission {op.submission_id} does not wait for attempt {op.attempt}")
        self._running[op.submission_id] = op.attempt

    def _append(self, op: Append) -> None:
        if op.submission_id is not None:
            self._check_running(op.submission_id, op.attempt)
        if op.entries:
            self._add_entries(op.key, op.session, op.entries)

    def _add_entries(self, key: AgentKey, name: str, entries: Sequence[Entry]) -> None:
        session = self._find(key, name)
        last = first = session.last_seq if session is not None else 0
        for entry in entries:
            last += 1
            if entry.seq != last:
                raise FencedError(dev=f"session {name} of {key} goes on at {first + 1}, not {entries[0].seq}")
        if session is None:
            session = self._create(key, name, entries[0].at)
        pk = session.pk
        for entry in entries:
            self._execute(rows.ADD_ENTRY, (pk, entry.seq, entry.kind, entry.at, entry.submission_id, entry.body))
        session.last_seq = last

    def _settle(self, op: Settle) -> None:
        if self._execute(rows.SETTLE, rows.settle_row(op)).rowcount != 1:
            raise FencedError(dev=f"submission {op.submission_id} is not open at attempt {op.attempt}")
        self._running.pop(op.submission_id, None)

    def _put_kv(self, op: PutKv) -> None:
        instance = self._find_instance(op.key)
        if op.body is not None:
            self._execute(rows.PUT_KV, (instance or self._create_instance(op.key), op.kind, op.name, op.body))
        elif instance is not None:
            self._execute(rows.REMOVE_KV, (instance, op.kind, op.name))

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

    def _create(self, key: AgentKey, name: str, at: int) -> _Session:
        instance = self._find_instance(key) or self._create_instance(key)
        pk = self._execute(rows.ADD_SESSION, (instance, name, at)).lastrowid
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
