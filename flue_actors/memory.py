"""The reference store: the contract of `flue_actors.storage` in plain dicts. For tests, examples and throwaway runs."""

import asyncio
from collections.abc import Callable
from typing import assert_never

from msgspec.structs import replace

from flue_actors.errors import FencedError, StoreError, StoreOwnedError, StoreUnavailableError
from flue_actors.ids import AgentKey
from flue_actors.storage import (
    NOTHING_ADMITTED,
    Admit,
    Append,
    Claim,
    Committed,
    Entry,
    Fence,
    KvKind,
    Op,
    PutKv,
    SessionRecord,
    Settle,
    Store,
    StoreStatistics,
    Submission,
)


def memory_store() -> Store:
    """A store whose content lives as long as the object: closing and opening it again keeps everything."""
    return MemoryStore()


class MemoryStore:
    """Applies each commit at the call, so a future is done when it is returned."""

    def __init__(self) -> None:
        self._epoch = 0
        self._fence: Fence | None = None
        self._submissions: dict[str, Submission] = {}
        self._sessions: dict[AgentKey, dict[str, SessionRecord]] = {}
        self._entries: dict[tuple[AgentKey, str], list[Entry]] = {}
        self._kv: dict[tuple[AgentKey, KvKind], dict[str, bytes]] = {}
        self._commits = self._refused = self._failed = 0

    @property
    def description(self) -> str:
        """``memory``."""
        return "memory"

    async def open(self) -> Fence:
        """See `Store.open`."""
        if self._fence is not None:
            raise StoreOwnedError("This store is open already.", details="Close it first, or make another one.")
        self._epoch += 1
        self._commits = self._refused = self._failed = 0
        self._fence = Fence(0, self._epoch)
        return self._fence

    async def close(self) -> None:
        """See `Store.close`."""
        self._fence = None

    def commit(self, fence: Fence, *ops: Op) -> "asyncio.Future[Committed]":
        """See `Store.commit`."""
        future: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(self._commit(fence, ops))
        except StoreError as error:
            self._refused += isinstance(error, FencedError)
            self._failed += not isinstance(error, FencedError)
            future.set_exception(error)
            future.exception()  # retrieved: asyncio logs no failure that nobody awaits
        return future

    async def submission(self, submission_id: str) -> Submission | None:
        """See `Store.submission`."""
        self._check_open()
        return self._submissions.get(submission_id)

    async def unsettled(self) -> list[Submission]:
        """See `Store.unsettled`."""
        self._check_open()
        return [submission for submission in self._submissions.values() if submission.status != "settled"]

    async def last_seq(self, key: AgentKey, session: str) -> int:
        """See `Store.last_seq`."""
        self._check_open()
        return len(self._entries.get((key, session), ()))

    async def entries(self, key: AgentKey, session: str, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        """See `Store.entries`."""
        self._check_open()
        return self._entries.get((key, session), [])[after:][:limit]

    async def sessions(self, key: AgentKey) -> list[SessionRecord]:
        """See `Store.sessions`."""
        self._check_open()
        found = self._sessions.get(key, {})
        return [replace(record, last_seq=len(self._entries[key, name])) for name, record in found.items()]

    async def kv(self, key: AgentKey, kind: KvKind) -> dict[str, bytes]:
        """See `Store.kv`."""
        self._check_open()
        return dict(self._kv.get((key, kind), {}))

    def statistics(self) -> StoreStatistics:
        """See `Store.statistics`."""
        return StoreStatistics(
            commits=self._commits, batches=self._commits, waiting=0, refused=self._refused, failed=self._failed
        )

    def _check_open(self) -> None:
        if self._fence is None:
            raise StoreUnavailableError("The conversation store is not open.")

    def _commit(self, fence: Fence, ops: tuple[Op, ...]) -> Committed:
        self._check_open()
        if fence != self._fence:
            raise FencedError(dev=f"fence {fence} is not the owner's {self._fence}")
        undo: list[Callable[[], object]] = []
        done = NOTHING_ADMITTED
        try:
            for op in ops:
                done = self._apply(op, undo) or done
        except FencedError:
            for step in reversed(undo):
                step()
            raise
        self._commits += 1
        return done

    def _apply(self, op: Op, undo: list[Callable[[], object]]) -> Committed | None:
        match op:
            case Admit():
                return self._admit(op, undo)
            case Claim():
                self._claim(op, undo)
            case Append():
                self._append(op, undo)
            case Settle():
                self._settle(op, undo)
            case PutKv():
                self._put_kv(op, undo)
            case _:
                assert_never(op)
        return None

    def _admit(self, op: Admit, undo: list[Callable[[], object]]) -> Committed:
        new = op.submission
        if new.id in self._submissions:
            raise FencedError(dev=f"submission {new.id} is known")
        admitted = Submission(
            id=new.id,
            key=new.key,
            session=new.session,
            kind=new.kind,
            payload=new.payload,
            accepted_at=new.accepted_at,
            seq=len(self._submissions) + 1,
            dispatch_id=new.dispatch_id,
            principal=new.principal,
            deadline=new.deadline,
        )
        self._touch(new.key, new.session, new.accepted_at, undo)
        self._submissions[new.id] = admitted
        undo.append(lambda: self._submissions.pop(new.id))
        return Committed(admitted.seq, len(self._entries[new.key, new.session]))

    def _claim(self, op: Claim, undo: list[Callable[[], object]]) -> None:
        old = self._submissions.get(op.submission_id)
        if old is None or old.status != "queued" or old.attempt != op.attempt - 1:
            raise FencedError(dev=f"submission {op.submission_id} does not wait for attempt {op.attempt}")
        claimed = replace(
            old,
            status="running",
            attempt=op.attempt,
            started_at=op.at,
            deadline=op.deadline,
            version=op.version,
            fingerprint=op.fingerprint,
        )
        self._replace(old, claimed, undo)

    def _append(self, op: Append, undo: list[Callable[[], object]]) -> None:
        if op.submission_id is not None:
            running = self._submissions.get(op.submission_id)
            if running is None or running.status != "running" or running.attempt != op.attempt:
                raise FencedError(dev=f"submission {op.submission_id} does not run at attempt {op.attempt}")
        if not op.entries:
            return
        last = len(self._entries.get((op.key, op.session), ()))
        if [entry.seq for entry in op.entries] != list(range(last + 1, last + 1 + len(op.entries))):
            raise FencedError(dev=f"session {op.session} of {op.key} goes on at {last + 1}, not {op.entries[0].seq}")
        self._touch(op.key, op.session, op.entries[0].at, undo)
        rows = self._entries[op.key, op.session]
        rows.extend(op.entries)
        undo.append(lambda: rows.__delitem__(slice(last, None)))

    def _settle(self, op: Settle, undo: list[Callable[[], object]]) -> None:
        old = self._submissions.get(op.submission_id)
        if old is None or old.status == "settled" or old.attempt != op.attempt:
            raise FencedError(dev=f"submission {op.submission_id} is not open at attempt {op.attempt}")
        settled = replace(old, status="settled", outcome=op.outcome, settled_at=op.at, result=op.result, error=op.error)
        self._replace(old, settled, undo)

    def _put_kv(self, op: PutKv, undo: list[Callable[[], object]]) -> None:
        values = self._kv.setdefault((op.key, op.kind), {})
        before = dict(values)
        undo.append(lambda: self._kv.__setitem__((op.key, op.kind), before))
        if op.body is None:
            values.pop(op.name, None)
        else:
            values[op.name] = op.body

    def _replace(self, old: Submission, new: Submission, undo: list[Callable[[], object]]) -> None:
        self._submissions[old.id] = new
        undo.append(lambda: self._submissions.__setitem__(old.id, old))

    def _touch(self, key: AgentKey, session: str, at: int, undo: list[Callable[[], object]]) -> None:
        """Create the session on first touch."""
        sessions = self._sessions.setdefault(key, {})
        if session in sessions:
            return
        sessions[session] = SessionRecord(name=session, created_at=at, last_seq=0)
        self._entries[key, session] = []
        undo.append(lambda: (sessions.pop(session), self._entries.pop((key, session))))
