"""What follows the commit of an `Erase`: no byte of what it removed stays in any file of the store.

1. The log is emptied: it held the rows.
2. The file is searched for copies in unused space (`pages`), in a thread of its own, while commits go on. None can be
   added: of a row that is gone, no new copy is made.
3. Between two commits the log is emptied again, the copies are overwritten, and what the connection remembers of the
   pages is dropped, or it would write them back. A commit follows: SQLite does not sync the emptied log, so a power
   loss would bring it back; the next commit does.

Cut off in the middle it is begun anew by the next `Erase`, of the same or of something else.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
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
"""Not ``value = value``: SQLite compares, and a commit that changes nothing writes nothing. `tests.faults.test_power_loss`
notices."""


class Run(Protocol):
    """Calls a function with the writing connection, between two commits."""

    def __call__(self, function: Callable[[sqlite3.Connection], T]) -> Awaitable[T]: ...


async def overwrite(run: Run, rest: Callable[[], None], pages: Pages) -> None:
    """Returns when no byte is left of what was erased before the call.

    Args:
        run: Calls a function with the writing connection, between two commits.
        rest: Called in the function: what comes next is waiting, the loop need not wait for it.
        pages: The file.

    Raises:
        StoreUnavailableError: Another program has been reading the whole time.
        sqlite3.Error, OSError: The file is at fault; the connection may be amid a transaction, and is to be replaced.
    """
    await _empty_log(run, rest)
    unclean = await asyncio.to_thread(pages.unclean)
    for start in range(0, len(unclean) or 1, _AT_ONCE):
        for _ in range(_TRIES):
            if await run(partial(_wipe, pages, unclean[start : start + _AT_ONCE])):
                break
            await _empty_log(run, rest)
        else:
            raise StoreUnavailableError(dev="others read whenever something is to be overwritten")


async def _empty_log(run: Run, rest: Callable[[], None]) -> None:
    def attempt(db: sqlite3.Connection) -> bool:
        rest()
        return _emptied(db, _PATIENCE)

    for _ in range(_TRIES):
        if await run(attempt):
            return
        await asyncio.sleep(_PATIENCE)
    raise StoreUnavailableError(dev="others read all the time: the log cannot be emptied")


def _wipe(pages: Pages, numbers: list[int], db: sqlite3.Connection) -> bool:
    """False: not done, somebody reads."""
    if not _emptied(db, 0):
        return False
    db.execute("BEGIN IMMEDIATE")
    pages.wipe(numbers)
    db.execute(_COUNT)
    db.execute("COMMIT")
    db.execute("PRAGMA shrink_memory")
    return True


def _emptied(db: sqlite3.Connection, patience: float) -> bool:
    db.execute(f"PRAGMA busy_timeout = {int(patience * 1_000)}").fetchall()
    try:
        return checkpoint(db)
    finally:
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}").fetchall()
