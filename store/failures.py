"""Which `StoreError` an SQLite error becomes. Its text goes to ``dev`` and the log, never to callers."""

import sqlite3
from typing import Final

from flue_actors.errors import FencedError, StoreError, StoreFormatError, StoreUnavailableError

# Primary result codes (the low byte of the extended ones).
_UNAVAILABLE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_UNFIT: Final = frozenset({0, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_UNSTORABLE: Final = "This record cannot be stored."


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code, or 0 when the error came from the Python module itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_io_error(error: sqlite3.Error) -> bool:
    """True when what the connection believes about the file may be wrong (a write or an fsync failed)."""
    return primary_code(error) == sqlite3.SQLITE_IOERR


def hits_everybody(error: Exception) -> bool:
    """True when the file is at fault, so that no write of the same transaction can be told innocent."""
    return isinstance(error, sqlite3.Error) and primary_code(error) in _UNAVAILABLE | _DAMAGED


def store_error(error: Exception) -> StoreError:
    """The error callers get: itself if it is one, else a new one (a raised exception collects tracebacks)."""
    if isinstance(error, StoreError):
        return error
    translated = _translate(error)
    translated.__cause__ = error
    return translated


def _translate(error: Exception) -> StoreError:
    dev = f"{type(error).__name__}: {error}"
    if isinstance(error, OSError):
        return StoreUnavailableError(dev=dev)
    if not isinstance(error, sqlite3.Error):
        return StoreError(_UNSTORABLE, dev=dev)
    code = primary_code(error)
    if code in _UNAVAILABLE:
        return StoreUnavailableError(dev=dev)
    if code in _DAMAGED:
        return StoreFormatError(
            "The conversation store is damaged, or it is not a store.",
            details="Restore it from a backup, or point the store at another file.",
            dev=dev,
        )
    if code == sqlite3.SQLITE_CONSTRAINT:
        return FencedError(dev=dev)
    return StoreError(_UNSTORABLE if code in _UNFIT else None, dev=dev)
