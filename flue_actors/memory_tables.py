"""What `memory` holds: the content of a store in plain dicts, and what each operation does to it.

Every change leaves the step that takes it back, so a refused commit leaves nothing.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar, assert_never

from msgspec.structs import replace

from flue_actors.errors import FencedError
from flue_actors.ids import AgentKey
from flue_actors.storage import (
    NOTHING_ADMITTED,
    PRUNE_LOOKS,
    Admit,
    Append,
    Attachment,
    Claim,
    Committed,
    Decide,
    Entry,
    Erase,
    JournalRow,
    KvKind,
    Op,
    Prune,
    PutAttachment,
    PutKv,
    Rename,
    RequestAbort,
    Requeue,
    Settle,
    Submission,
    Suspend,
    WriteJournal,
)

K = TypeVar("K")
V = TypeVar("V")


class Session:
    """A session and what leads to its submissions."""

    __slots__ = ("created_at", "entries", "keys", "number", "parent", "submissions")

    def __init__(self, number: int, created_at: int, parent: str | None) -> None:
        self.number = number
        """Rises in order of creation."""
        self.created_at = created_at
        self.parent = parent
        self.entries: list[Entry] = []
        self.submissions: dict[str, None] = {}
        self.keys: dict[str, str] = {}
        """Idempotency keys and whose they are."""


class Instance:
    """An instance: its sessions, its values and its attachments."""

    __slots__ = ("attachments", "kv", "sessions")

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.kv: dict[tuple[KvKind, str], bytes] = {}
        self.attachments: dict[str, Attachment] = {}

    def newest(self) -> int:
        """When it got its newest entry or session; 0 without either."""
        times = [session.created_at for session in self.sessions.values()]
        times += [session.entries[-1].at for session in self.sessions.values() if session.entries]
        return max(times, default=0)

    def family(self, name: str) -> list[str]:
        """The session, the sessions it is the parent of, and theirs."""
        names = [name] if name in self.sessions else []
        for above in names:
            names += [below for below, session in self.sessions.items() if session.parent == above]
        return names


class Tables:
    """The rows. Read them as you like; only `apply` writes."""

    def __init__(self) -> None:
        self.submissions: dict[str, Submission] = {}
        """In acceptance order."""
        self.journals: dict[str, list[JournalRow]] = {}
        self.instances: dict[AgentKey, Instance] = {}
        self._seq = self._sessions = 0
        self._undo: list[Callable[[], object]] = []

    def session(self, key: AgentKey, name: str) -> Session | None:
        """The session of this name."""
        instance = self.instances.get(key)
        return None if instance is None else instance.sessions.get(name)

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
            if any(isinstance(op, Erase | Prune) for op in ops):  # what was put back stands at the end
                self.submissions = dict(sorted(self.submissions.items(), key=lambda item: item[1].seq))
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

    def _apply(
        self,
        op: Claim
        | Append
        | WriteJournal
        | Requeue
        | Suspend
        | Decide
        | RequestAbort
        | Settle
        | PutKv
        | PutAttachment
        | Rename
        | Erase,
    ) -> None:
        match op:
            case Claim():
                self._claim(op)
            case Append():
                self._append(op)
            case WriteJournal():
                self._write_journal(op)
            case Requeue() | Suspend():
                self._end_attempt(op)
            case Decide():
                self._decide(op)
            case RequestAbort():
                self._request_abort(op)
            case Settle():
                self._settle(op)
            case PutKv():
                self._put_kv(op)
            case PutAttachment():
                self._put_attachment(op)
            case Rename():
                self._rename(op)
            case Erase():
                self._erase(op)
            case _:
                assert_never(op)

    def _admit(self, op: Admit, *, first: bool) -> Committed:
        new = op.submission
        if new.idempotency_key is not None:
            if not first:
                raise FencedError(dev=f"submission {new.id} has an idempotency key and is not the first operation")
            session = self.session(new.key, new.session)
            if session is not None and new.idempotency_key in session.keys:
                return Committed(known=session.keys[new.idempotency_key])
        if new.id in self.submissions:
            raise FencedError(dev=f"submission {new.id} is known")
        self._seq += 1
        session = self._touch(new.key, new.session, new.accepted_at)
        self._put(session.submissions, new.id, None)
        if new.idempotency_key is not None:
            self._put(session.keys, new.idempotency_key, new.id)
        self._put(self.submissions, new.id, _queued(new, self._seq))
        return Committed(self._seq, len(session.entries))

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
        session = self.session(op.key, op.session)
        last = len(session.entries) if session is not None else 0
        if [entry.seq for entry in op.entries] != list(range(last + 1, last + 1 + len(op.entries))):
            raise FencedError(dev=f"session {op.session} of {op.key} goes on at {last + 1}, not {op.entries[0].seq}")
        rows = self._touch(op.key, op.session, op.entries[0].at, op.parent).entries
        rows.extend(op.entries)
        self._undo.append(lambda: rows.__delitem__(slice(last, None)))

    def _write_journal(self, op: WriteJournal) -> None:
        self._running(op.submission_id, op.attempt)
        if op.submission_id not in self.journals:
            self._put(self.journals, op.submission_id, [])
        row = JournalRow(
            kind=op.kind, name=op.name, body=op.body, after=op.after, spent_ms=op.spent_ms, attempt=op.attempt
        )
        place = self._approval(op.submission_id, op.name) if op.kind == "approval" else None
        if place is not None:
            self._rewrite(op.submission_id, place, row)
            return
        journal = self.journals[op.submission_id]
        journal.append(row)
        self._undo.append(journal.pop)

    def _rewrite(self, submission_id: str, place: int, row: JournalRow) -> None:
        journal = self.journals[submission_id]
        before = journal[place]
        self._undo.append(lambda: journal.__setitem__(place, before))
        journal[place] = row

    def _approval(self, submission_id: str, name: str) -> int | None:
        """Where its journal has the approval of this name."""
        journal = self.journals.get(submission_id, ())
        places = (place for place, row in enumerate(journal) if (row.kind, row.name) == ("approval", name))
        return next(places, None)

    def _end_attempt(self, op: Requeue | Suspend) -> None:
        status = "queued" if isinstance(op, Requeue) else "waiting"
        old = self._running(op.submission_id, op.attempt)
        ended = replace(old, status=status, excused=old.excused + 1, spent_ms=op.spent_ms)
        self._put(self.submissions, old.id, ended)

    def _decide(self, op: Decide) -> None:
        waiting = self.submissions.get(op.submission_id)
        place = self._approval(op.submission_id, op.name)
        if waiting is None or waiting.status != "waiting" or place is None:
            raise FencedError(dev=f"submission {op.submission_id} does not wait for a decision on {op.name}")
        self._rewrite(waiting.id, place, replace(self.journals[waiting.id][place], body=op.body))
        if op.resume:
            self._put(self.submissions, waiting.id, replace(waiting, status="queued"))

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
        if op.body is not None:
            self._put(self._instance(op.key).kv, (op.kind, op.name), op.body)
        elif op.key in self.instances:
            self._remove(self.instances[op.key].kv, (op.kind, op.name))

    def _put_attachment(self, op: PutAttachment) -> None:
        held = self._instance(op.key).attachments
        if op.id not in held:
            self._put(held, op.id, Attachment(id=op.id, mime_type=op.mime_type, body=op.body))

    def _rename(self, op: Rename) -> None:
        for key in [key for key in self.instances if key.agent == op.old]:
            new = AgentKey(op.new, key.id)
            if new not in self.instances:
                instance = self.instances[key]
                self._remove(self.instances, key)
                self._put(self.instances, new, instance)
                for session in instance.sessions.values():
                    for submission_id in session.submissions:
                        moved = replace(self.submissions[submission_id], key=new)
                        self._put(self.submissions, submission_id, moved)

    def _erase(self, op: Erase) -> None:
        instance = self.instances.get(op.key)
        if instance is None:
            return
        for name in list(instance.sessions) if op.session is None else instance.family(op.session):
            self._erase_session(instance, name)
        if op.session is None:
            self._remove(self.instances, op.key)

    def _erase_session(self, instance: Instance, name: str) -> None:
        for submission_id in instance.sessions[name].submissions:
            self._remove(self.submissions, submission_id)
            self._remove(self.journals, submission_id)
        self._remove(instance.sessions, name)
        self._remove(instance.kv, ("frozen", name))

    def _prune(self, op: Prune) -> int:
        looked_at = list(islice(self.submissions.values(), op.limit * PRUNE_LOOKS))
        old = [held for held in looked_at if held.settled_at is not None and held.settled_at < op.settled_before]
        for held in old[: op.limit]:
            self._forget(held)
        return len(old[: op.limit])

    def _forget(self, held: Submission) -> None:
        session = self.instances[held.key].sessions[held.session]
        self._remove(session.submissions, held.id)
        if held.idempotency_key is not None:
            self._remove(session.keys, held.idempotency_key)
        self._remove(self.submissions, held.id)

    def _running(self, submission_id: str, attempt: int) -> Submission:
        running = self.submissions.get(submission_id)
        if running is None or running.status != "running" or running.attempt != attempt:
            raise FencedError(dev=f"submission {submission_id} does not run at attempt {attempt}")
        return running

    def _instance(self, key: AgentKey) -> Instance:
        if key not in self.instances:
            self._put(self.instances, key, Instance())
        return self.instances[key]

    def _touch(self, key: AgentKey, name: str, at: int, parent: str | None = None) -> Session:
        """The session, made if there is none."""
        sessions = self._instance(key).sessions
        if name not in sessions:
            if parent is not None and parent not in sessions:
                raise FencedError(dev=f"{key} has no session {parent} that {name} could belong to")
            self._sessions += 1
            self._put(sessions, name, Session(self._sessions, at, parent))
        return sessions[name]

    def _put(self, table: dict[K, V], key: K, value: V) -> None:
        if key in table:
            before = table[key]
            self._undo.append(lambda: table.__setitem__(key, before))
        else:
            self._undo.append(lambda: table.__delitem__(key))
        table[key] = value

    def _remove(self, table: dict[K, V], key: K) -> None:
        if key in table:
            value = table.pop(key)
            self._undo.append(lambda: table.__setitem__(key, value))


def _queued(new: Submission, seq: int) -> Submission:
    return Submission(
        id=new.id,
        key=new.key,
        session=new.session,
        kind=new.kind,
        payload=new.payload,
        accepted_at=new.accepted_at,
        seq=seq,
        policy=new.policy,
        idempotency_key=new.idempotency_key,
        dispatch_id=new.dispatch_id,
        principal=new.principal,
        deadline=new.deadline,
    )
