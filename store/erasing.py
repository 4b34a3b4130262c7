"""What follows the commit of an `Erase`: no byte of what it removed stays in any file of the store.

1. The log is emptied: it held the rows.
2. The file is searched for copies in unused space (`pages`), in a thread of its own, while commits go on. None can be
   added: of a row that is gone, no new copy is made.
3. Between two commits the log is emptied again, the copies are overwritten, and what the connection remembers of the
   pages is dropped, or it would write them back. A commit of nothing follows: SQLite does not sync the emptied log, so
   a power loss would bring it back; the next commit does.

Cut off in the middle it is begun anew by the next `Erase`, of the same or of something else.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Final, Protocol, TypeVar

from flue_actors.errors import StoreUnavailableError
from flue_actors.store.pages import Pages
from flue_actors.store.schema import BUSY_TIMEOUT, checkpoint

T = TypeVar("T")

_PATIENCE: Final = 0.05
"""Seconds that one try waits for readers, with commits waiting behind it, and that lie between two tries."""
_TRIES: Final = 200
_AT_ONCE: Final = 500
"""Pages overwritten between two commits, which takes about 5 ms."""
_COUNT: Final = """
    INSERT INTO meta VALUES ('erasures', 1) ON CONFLICT(key) DO UPDATE SET value = value + 1"""
"""SQLite does not sync the log that it emptied, so a power loss would bring it back: the next commit does, if it changes
something."""


class Run(Protocol):
    """Calls a function with the writing connection, between two commits."""

    def __call__(self, function: Callable[[sqlite3.Connection], T]) -> Awaitable[T]: ...


async def overwrite(run: Run, pages: Pages) -> None:
    """Returns when no byte is left of what was erased before the call.

    Raises:
        StoreUnavailableError: Another program has been reading the whole time.
        sqlite3.Error, OSError: The file is at fault.
    """
    await _repeat(run, _empty_log)
    unclean = await asyncio.to_thread(pages.unclean)
    for start in range(0, len(unclean) or 1, _AT_ONCE):
        await _repeat(run, partial(_wipe, pages, unclean[start : start + _AT_ONCE]))


async def _repeat(run: Run, attempt: Callable[[sqlite3.Connection], bool]) -> None:
    for _ in range(_TRIES):
        if await run(attempt):
            return
        await asyncio.sleep(_PATIENCE)
    raise StoreUnavailableError(dev="the log cannot be emptied: somebody is reading")


def _empty_log(db: sqlite3.Connection) -> bool:
    with _impatient(db):
        return checkpoint(db)


def _wipe(pages: Pages, numbers: list[int], db: sqlite3.Connection) -> bool:
    if not _empty_log(db):
        return False
    db.execute("BEGIN IMMEDIATE")
    try:
        pages.wipe(numbers)
        db.execute(_COUNT)
    finally:
        db.execute("COMMIT")
    db.execute("PRAGMA shrink_memory")
    return True


@contextmanager
def _impatient(db: sqlite3.Connection) -> Generator[None]:
    db.execute(f"PRAGMA busy_timeout = {int(_PATIENCE * 1_000)}").fetchall()
    try:
        yield
    finally:
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}").fetchall()
