"""The store port on one SQLite file: ownership, the writer, the reader, and what each read asks."""

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from flue_actors.errors import ConfigError, FencedError, StoreError, StoreUnavailableError
from flue_actors.ids import AgentKey
from flue_actors.storage import (
    Attachment,
    Committed,
    Entry,
    Fence,
    JournalRow,
    KvKind,
    Op,
    SessionRecord,
    StoreStatistics,
    Submission,
)
from flue_actors.store import rows
from flue_actors.store.failures import store_error
from flue_actors.store.folder import make_folder
from flue_actors.store.hop import Hop
from flue_actors.store.lock import FileLock
from flue_actors.store.schema import Durability, connect, connect_reader, raise_epoch
from flue_actors.store.writer import Writer

logger = logging.getLogger(__name__)

T = TypeVar("T")

_NOT_OPEN = "The conversation store is not open."


def sqlite(path: str | os.PathLike[str], *, durability: Durability = "power") -> "SqliteStore":
    """A store in one SQLite file, owned by one process at a time.

    Args:
        path: The file; it and its parent folders are made when the store is opened. Relative to the working directory,
            in a project's ``db.py`` to the project's root.
        durability: ``"power"``: an acknowledged write survives the loss of power. ``"process"``: it survives the
            death of the process; a power loss may take the last moments. Under load the two are about as fast.

    Raises:
        ConfigError: The path is not that of a file.
    """
    return SqliteStore(Path(path), durability)


class SqliteStore:
    """See `Store`."""

    def __init__(self, path: Path, durability: Durability = "power") -> None:
        if path.name in {"", ":memory:"}:
            raise ConfigError(f'"{path}" is not a file.', details="Name a file, or use memory_store().")
        self.path = path
        self.durability: Durability = durability
        self._lock: FileLock | None = None
        self._fence: Fence | None = None
        self._writer: Writer | None = None
        self._reader: Hop | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def description(self) -> str:
        """``sqlite <path>``."""
        return f"sqlite {self.path}"

    def rebase(self, root: Path) -> None:
        """Before `open`: have a relative path start at ``root``, an absolute folder. An absolute path stays as it is."""
        self.path = root / self.path

    async def open(self) -> Fence:
        """See `Store.open`.

        Raises:
            StoreOwnedError: Another process owns the file, or another store in this one.
            StoreFormatError: Not ours, damaged, or from a newer version.
            StoreUnavailableError: The file cannot be opened.
        """
        file = self._own()
        try:
            self._writer = Writer(partial(connect, str(file), self.durability))
            await self._writer.open()
            self._fence = Fence(0, await self._writer.run(raise_epoch))
            self._reader = await Hop.start(partial(connect_reader, str(file)))
        except (sqlite3.Error, OSError) as error:
            await self.close()
            logger.exception("%s cannot be opened", self.path)
            raise store_error(error) from error
        except BaseException:
            await self.close()
            raise
        return self._fence

    async def close(self) -> None:
        """See `Store.close`. Cancelling the caller does not stop it."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        await asyncio.shield(self._closing)

    def commit(self, fence: Fence, *ops: Op) -> "asyncio.Future[Committed]":
        """See `Store.commit`."""
        if self._writer is not None and fence == self._fence:
            return self._writer.enqueue(ops)
        return _failed(
            StoreUnavailableError(_NOT_OPEN)
            if self._fence is None
            else FencedError(dev=f"fence {fence} is not the owner's {self._fence}")
        )

    async def submission(self, submission_id: str) -> Submission | None:
        """See `Store.submission`."""
        found = await self._read(rows.submission, rows.SUBMISSION, submission_id)
        return found[0] if found else None

    async def unsettled(self) -> list[Submission]:
        """See `Store.unsettled`."""
        return await self._read(rows.submission, rows.UNSETTLED)

    async def last_seq(self, key: AgentKey, session: str) -> int:
        """See `Store.last_seq`."""
        return (await self._read(rows.number, rows.LAST_SEQ, key.agent, key.id, session))[0]

    async def entries(
        self, key: AgentKey, session: str, *, after: int = 0, before: int | None = None, limit: int | None = None
    ) -> list[Entry]:
        """See `Store.entries`."""
        of, most = (key.agent, key.id, session), -1 if limit is None else limit
        if before is None:
            return await self._read(rows.entry, rows.ENTRIES, *of, after, most)
        return (await self._read(rows.entry, rows.LAST_ENTRIES, *of, after, before, most))[::-1]

    async def journal(self, submission_id: str) -> list[JournalRow]:
        """See `Store.journal`."""
        return await self._read(rows.journal, rows.JOURNAL, submission_id)

    async def idle(self, *, before: int, after: AgentKey | None, limit: int) -> tuple[list[AgentKey], AgentKey | None]:
        """See `Store.idle`."""
        behind = ("", "") if after is None else (after.agent, after.id)
        looked_at = await self._read(rows.key_and_idle, rows.IDLE, before, *behind, limit)
        return [key for key, idle in looked_at if idle], looked_at[-1][0] if len(looked_at) == limit else None

    async def sessions(self, key: AgentKey) -> list[SessionRecord]:
        """See `Store.sessions`."""
        return await self._read(rows.session_record, rows.SESSIONS, key.agent, key.id)

    async def attachment(self, key: AgentKey, id: str) -> Attachment | None:
        """See `Store.attachment`."""
        found = await self._read(rows.attachment, rows.ATTACHMENT, key.agent, key.id, id)
        return found[0] if found else None

    async def kv(self, key: AgentKey, kind: KvKind) -> dict[str, bytes]:
        """See `Store.kv`."""
        return dict(await self._read(rows.name_and_body, rows.KV, key.agent, key.id, kind))

    def statistics(self) -> StoreStatistics:
        """See `Store.statistics`."""
        if self._writer is None:
            return StoreStatistics(commits=0, batches=0, waiting=0, refused=0, failed=0)
        return self._writer.statistics()

    def _own(self) -> Path:
        """Take the lock; the file with links resolved, so that two names of one file meet in one lock."""
        file = Path(os.path.realpath(self.path))
        lock = FileLock(file)
        try:
            make_folder(file.parent)
            lock.take()
        except OSError as error:
            logger.exception("%s cannot be opened", self.path)
            raise store_error(error) from error
        self._lock, self._closing = lock, None
        return file

    async def _close(self) -> None:
        self._fence = None
        for part in (self._reader, self._writer):
            try:
                if part is not None:
                    await part.close()
            except sqlite3.Error:
                logger.exception("closing %s", self.path)
        self._reader = None
        if self._lock is not None:
            self._lock.release()

    async def _read(self, record: Callable[[rows.Row], T], sql: str, *parameters: object) -> list[T]:
        """The rows as records, made in the thread: 10,000 of them would hold up the loop for 10 ms."""
        if self._reader is None:
            raise StoreUnavailableError(_NOT_OPEN)
        try:
            return await self._reader.run(_fetch, record, sql, parameters)
        except sqlite3.Error as error:
            logger.exception("reading %s", self.path)
            raise store_error(error) from error


def _fetch(
    db: sqlite3.Connection, record: Callable[[rows.Row], T], sql: str, parameters: tuple[object, ...]
) -> list[T]:
    return [record(row) for row in db.execute(sql, parameters).fetchall()]


def _failed(error: StoreError) -> "asyncio.Future[Committed]":
    future: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    future.exception()  # retrieved: asyncio logs no failure that nobody awaits
    return future
