"""The reference store: the contract of `flue_actors.storage` in plain dicts. For tests, examples and throwaway runs."""

import asyncio
from itertools import islice

from flue_actors.errors import FencedError, StoreError, StoreOwnedError, StoreUnavailableError
from flue_actors.ids import AgentKey
from flue_actors.memory_tables import Tables
from flue_actors.storage import (
    Attachment,
    Committed,
    Entry,
    Fence,
    JournalRow,
    KvKind,
    Op,
    SessionRecord,
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
        self._tables = Tables()
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
        return self._content().submissions.get(submission_id)

    async def unsettled(self) -> list[Submission]:
        """See `Store.unsettled`."""
        return [submission for submission in self._content().submissions.values() if submission.outcome is None]

    async def last_seq(self, key: AgentKey, session: str) -> int:
        """See `Store.last_seq`."""
        found = self._content().session(key, session)
        return 0 if found is None else len(found.entries)

    async def entries(
        self, key: AgentKey, session: str, *, after: int = 0, before: int | None = None, limit: int | None = None
    ) -> list[Entry]:
        """See `Store.entries`."""
        found = self._content().session(key, session)
        rows = [] if found is None else found.entries
        if before is None:
            return rows[after:][:limit]
        window = rows[after : max(before - 1, 0)]
        return window if limit is None else window[max(len(window) - limit, 0) :]

    async def journal(self, submission_id: str) -> list[JournalRow]:
        """See `Store.journal`."""
        return list(self._content().journals.get(submission_id, ()))

    async def idle(self, *, before: int, after: AgentKey | None, limit: int) -> tuple[list[AgentKey], AgentKey | None]:
        """See `Store.idle`."""
        tables = self._content()
        keys = (key for key in sorted(tables.instances) if after is None or key > after)
        looked_at = list(islice(keys, limit))
        busy = {submission.key for submission in await self.unsettled()}
        idle = [key for key in looked_at if key not in busy and tables.instances[key].newest() < before]
        return idle, looked_at[-1] if len(looked_at) == limit else None

    async def sessions(self, key: AgentKey) -> list[SessionRecord]:
        """See `Store.sessions`."""
        instance = self._content().instances.get(key)
        found = [] if instance is None else sorted(instance.sessions.items(), key=lambda item: item[1].number)
        return [
            SessionRecord(
                name=name, created_at=session.created_at, last_seq=len(session.entries), parent=session.parent
            )
            for name, session in found
        ]

    async def attachment(self, key: AgentKey, id: str) -> Attachment | None:
        """See `Store.attachment`."""
        instance = self._content().instances.get(key)
        return None if instance is None else instance.attachments.get(id)

    async def kv(self, key: AgentKey, kind: KvKind) -> dict[str, bytes]:
        """See `Store.kv`."""
        instance = self._content().instances.get(key)
        held = {} if instance is None else instance.kv
        return {name: body for (of, name), body in held.items() if of == kind}

    def statistics(self) -> StoreStatistics:
        """See `Store.statistics`."""
        return StoreStatistics(
            commits=self._commits, batches=self._commits, waiting=0, refused=self._refused, failed=self._failed
        )

    def _content(self) -> Tables:
        if self._fence is None:
            raise StoreUnavailableError("The conversation store is not open.")
        return self._tables

    def _commit(self, fence: Fence, ops: tuple[Op, ...]) -> Committed:
        tables = self._content()
        if fence != self._fence:
            raise FencedError(dev=f"fence {fence} is not the owner's {self._fence}")
        done = tables.apply(ops)
        self._commits += 1
        return done
