"""A disk that fails on demand: a file beside it says how. Used by the project's ``db.py`` in a server process.

The switch holds ``full``, ``write`` or ``sync`` while writing fails with "disk full", an I/O error, or syncing with one.
Without the file all is well. Only the database and its log are hit.
"""

import sqlite3
from pathlib import Path

from tests.faults.disk import OK, Action, Deed, watch

_IOERR_WRITE = sqlite3.SQLITE_IOERR | 3 << 8
_IOERR_FSYNC = sqlite3.SQLITE_IOERR | 4 << 8

_CODES: dict[tuple[str, Action], int] = {
    ("full", "write"): sqlite3.SQLITE_FULL,
    ("write", "write"): _IOERR_WRITE,
    ("sync", "sync"): _IOERR_FSYNC,
}


class FailingDisk:
    """The watcher that looks at the switch."""

    def __init__(self, switch: Path) -> None:
        self._switch = switch

    def refuse(self, action: Action, file: str) -> int:
        """As the switch says now."""
        try:
            fault = self._switch.read_text()
        except FileNotFoundError:
            return OK
        return _CODES.get((fault, action), OK)

    def done(self, deed: Deed) -> None:
        """It succeeded."""


def fail_on_demand(switch: Path) -> None:
    """From now on every database of this process is on such a disk."""
    watch(FailingDisk(switch))
