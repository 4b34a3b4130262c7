"""Exclusive ownership of a database file: an advisory lock on ``<file>.lock`` beside it.

The kernel drops the lock when the process ends, however it ends, so nothing stale is ever left behind. The lock file
itself stays: deleting it would let two processes lock two different files of the same name.
"""

import logging
import os
import sys
from pathlib import Path

from flue_actors.errors import StoreOwnedError

logger = logging.getLogger(__name__)

if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int) -> None:
        os.lseek(fd, 1 << 30, os.SEEK_SET)  # far behind the text: a locked range cannot be read by others there
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """Held from `take` to `release`; refuses a second holder in this process as well as in another."""

    def __init__(self, database: Path) -> None:
        self._path = Path(f"{database}.lock")
        self._fd: int | None = None

    def take(self) -> None:
        """Own the file.

        Raises:
            StoreOwnedError: Somebody owns it already; ``dev`` says which file and process.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _try_lock(fd)
        except (BlockingIOError, PermissionError) as error:
            owner = os.read(fd, 200).decode(errors="replace").strip()
            os.close(fd)
            dev = f"{self._path} is held by {owner or 'another process'}"
            logger.warning(dev)
            raise StoreOwnedError(
                "The conversation store is in use by another process.",
                details="Stop the other process, or point this one at another store.",
                dev=dev,
            ) from error
        self._fd = fd
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, f"process {os.getpid()}\n".encode())

    def release(self) -> None:
        """Give it up. Idempotent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
