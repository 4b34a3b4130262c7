"""A simulated disk behind the store port: group commits that take time, fail, and may or may not survive a crash.

The rules of the port are the reference store's own; here is only when they apply. What is queued while a group is being
written forms the next group. A crash keeps any first part of what was not acknowledged, as a real one may.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from flue_actors.errors import FencedError, StoreError, StoreUnavailableError
from flue_actors.ids import AgentKey
from flue_actors.memory import memory_store
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

T = TypeVar("T")

WRITE_SECONDS: Final = (0.0, 0.0, 0.001, 0.001, 0.001, 0.004, 0.02, 0.3)
READ_SECONDS: Final = (0.0, 0.0, 0.0, 0.001, 0.05)


class Witness(Protocol):
    """Is told what happens to the disk."""

    def tick(self, kind: str) -> None:
        """Something happened at which the process may die."""
        ...

    def applied(self, fence: Fence, ops: tuple[Op, ...], committed: Committed) -> None:
        """A commit is durable, whether or not anybody is told."""
        ...

    def refused(self, ops: tuple[Op, ...], error: StoreError) -> None:
        """A commit failed."""
        ...

    def misreported(self, ops: tuple[Op, ...]) -> None:
        """What was just applied is reported as failed."""
        ...


class Commit:
    """One commit on its way to the disk."""

    __slots__ = ("fence", "future", "ops")

    def __init__(self, future: "asyncio.Future[Committed]", fence: Fence, ops: tuple[Op, ...]) -> None:
        self.future = future
        self.fence = fence
        self.ops = ops


class Disk:
    """What survives the process. Each life of it opens the disk through a `SimulatedStore` of its own.

    Attributes:
        full_until: Virtual time until which every group fails.
        misreports: Chance that a failing group was written all the same.
    """

    def __init__(self, rng: random.Random, witness: Witness) -> None:
        self.rng = rng
        self.witness = witness
        self.content: Store = memory_store()
        self.full_until = -1.0
        self.misreports = 0.0

    def apply(self, commit: Commit) -> Committed | StoreError:
        """Make one commit durable, or refuse it."""
        done = self.content.commit(commit.fence, *commit.ops)
        error = done.exception()
        if error is not None:
            assert isinstance(error, StoreError)
            return error
        committed = done.result()
        if committed.known is None:
            self.witness.applied(commit.fence, commit.ops, committed)
        return committed


class SimulatedStore:
    """The store as one life of the process sees it."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._dead = False
        self._queue: list[Commit] = []
        self._writing: list[Commit] = []
        self._commits = 0
        self._emptied: asyncio.Future[None] | None = None

    @property
    def description(self) -> str:
        return "simulated"

    async def open(self) -> Fence:
        await self._disk.content.close()  # the process that had it is dead
        return await self._disk.content.open()

    async def close(self) -> None:
        while self._queue or self._writing:
            self._emptied = asyncio.get_running_loop().create_future()
            await self._emptied
        self._dead = True

    def die(self) -> None:
        """The process dies: a first part of what is on its way reaches the disk, nobody hears of any of it."""
        self._dead = True
        under_way = [*self._writing, *self._queue]
        rng = self._disk.rng
        survive = rng.choice((0, len(self._writing), rng.randint(0, len(under_way))))
        for commit in under_way[:survive]:
            self._disk.apply(commit)
        self._writing, self._queue = [], []
        for commit in under_way:  # only the dead wait for it: see `SimulatedLoop.bury`
            _fail(commit.future, FencedError(dev="the process is dead"))

    def commit(self, fence: Fence, *ops: Op) -> "asyncio.Future[Committed]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Committed] = loop.create_future()
        if self._dead:
            _fail(future, FencedError(dev="the process is dead"))
            return future
        self._queue.append(Commit(future, fence, ops))
        if not self._writing:
            self._write()
        self._disk.witness.tick("commit")
        return future

    def _write(self) -> None:
        self._writing, self._queue = self._queue, []
        seconds = self._disk.rng.choice(WRITE_SECONDS)
        loop = asyncio.get_running_loop()
        if seconds:
            loop.call_later(seconds, self._written)
        else:
            loop.call_soon(self._written)

    def _written(self) -> None:
        if self._dead:
            return
        disk = self._disk
        group, self._writing = self._writing, []
        if asyncio.get_running_loop().time() < disk.full_until:
            self._refuse(group)
        else:
            self._commits += len(group)
            for commit, answer in [(each, disk.apply(each)) for each in group]:
                if isinstance(answer, StoreError):
                    disk.witness.refused(commit.ops, answer)
                    _fail(commit.future, answer)
                elif not commit.future.cancelled():
                    commit.future.set_result(answer)
        if self._queue:
            self._write()
        elif self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)
        disk.witness.tick("written")

    def _refuse(self, group: list[Commit]) -> None:
        written = self._disk.rng.random() < self._disk.misreports
        for commit in group:
            refused = self._disk.apply(commit) if written else None
            error = refused if isinstance(refused, FencedError) else StoreUnavailableError(dev="the disk is full")
            self._disk.witness.refused(commit.ops, error)
            if written and error is not refused:
                self._disk.witness.misreported(commit.ops)
            _fail(commit.future, error)

    async def _read(self, read: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        seconds = self._disk.rng.choice(READ_SECONDS)
        if seconds:
            await asyncio.sleep(seconds)
        if self._dead:
            raise StoreUnavailableError(dev="the process is dead")
        return await read(self._disk.content)

    async def submission(self, submission_id: str) -> Submission | None:
        return await self._read(lambda store: store.submission(submission_id))

    async def unsettled(self) -> list[Submission]:
        return await self._read(lambda store: store.unsettled())

    async def last_seq(self, key: AgentKey, session: str) -> int:
        return await self._read(lambda store: store.last_seq(key, session))

    async def entries(
        self, key: AgentKey, session: str, *, after: int = 0, before: int | None = None, limit: int | None = None
    ) -> list[Entry]:
        return await self._read(lambda store: store.entries(key, session, after=after, before=before, limit=limit))

    async def journal(self, submission_id: str) -> list[JournalRow]:
        return await self._read(lambda store: store.journal(submission_id))

    async def idle(self, *, before: int, after: AgentKey | None, limit: int) -> tuple[list[AgentKey], AgentKey | None]:
        return await self._read(lambda store: store.idle(before=before, after=after, limit=limit))

    async def sessions(self, key: AgentKey) -> list[SessionRecord]:
        return await self._read(lambda store: store.sessions(key))

    async def kv(self, key: AgentKey, kind: KvKind) -> dict[str, bytes]:
        return await self._read(lambda store: store.kv(key, kind))

    async def attachment(self, key: AgentKey, id: str) -> Attachment | None:
        return await self._read(lambda store: store.attachment(key, id))

    def statistics(self) -> StoreStatistics:
        waiting = len(self._queue) + len(self._writing)
        return StoreStatistics(commits=self._commits, batches=self._commits, waiting=waiting, refused=0, failed=0)


def _fail(future: "asyncio.Future[Committed]", error: StoreError) -> None:
    if not future.cancelled():
        future.set_exception(error)
        future.exception()  # seen: a failure that nobody awaits is silent
