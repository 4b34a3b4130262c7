"""The file format: tables, settings of a connection, the version stamp and the migrations that lead to it."""

import sqlite3
from typing import Final, Literal

from flue_actors.errors import StoreFormatError
from flue_actors.storage import FORMAT_VERSION
from flue_actors.store.rows import part_of

Durability = Literal["power", "process"]

APPLICATION_ID: Final = 0x464C5545
"""``FLUE``: in the file's header, so a file of another program is told apart before anything is written."""

BUSY_TIMEOUT: Final = 5_000
"""Milliseconds to wait for another program's lock."""

# `entries` has a rowid and a UNIQUE index: as WITHOUT ROWID it is 4-6 times slower to write.
# `sessions` holds no counter of its entries: the index gives the last seq, and an append touches one table.
_V1: Final = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value);
CREATE TABLE instances(pk INTEGER PRIMARY KEY, agent TEXT NOT NULL, id TEXT NOT NULL, part INTEGER NOT NULL,
    UNIQUE(agent, id));
CREATE TABLE sessions(pk INTEGER PRIMARY KEY, instance INTEGER NOT NULL, name TEXT NOT NULL, parent INTEGER,
    created_at INTEGER NOT NULL, UNIQUE(instance, name));
CREATE TABLE entries(session INTEGER NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, at INTEGER NOT NULL,
    submission TEXT, body BLOB NOT NULL, UNIQUE(session, seq));
CREATE TABLE submissions(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, instance INTEGER NOT NULL,
    session INTEGER NOT NULL, part INTEGER NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL, outcome TEXT,
    attempt INTEGER NOT NULL, accepted_at INTEGER NOT NULL, started_at INTEGER, settled_at INTEGER, deadline INTEGER,
    dispatch_id TEXT, version TEXT, fingerprint TEXT, principal BLOB, payload BLOB NOT NULL, result BLOB, error BLOB);
CREATE INDEX submissions_open ON submissions(instance, seq) WHERE outcome IS NULL;
CREATE TABLE kv(instance INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY(instance, kind, name));
INSERT INTO meta VALUES ('epoch', 0);
"""

# A session leads to its submissions by those that are open, by its entries, and by the loose ones: those whose outcome no
# entry of the same commit told of. An index of all of them would make a turn a fifth slower.
_V2: Final = """
ALTER TABLE submissions ADD COLUMN policy TEXT NOT NULL DEFAULT 'queue';
ALTER TABLE submissions ADD COLUMN excused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE submissions ADD COLUMN spent_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE submissions ADD COLUMN host TEXT;
ALTER TABLE submissions ADD COLUMN abort TEXT;
ALTER TABLE submissions ADD COLUMN idempotency_key TEXT;
CREATE UNIQUE INDEX submissions_idempotent ON submissions(session, idempotency_key) WHERE idempotency_key IS NOT NULL;
ALTER TABLE submissions ADD COLUMN loose INTEGER NOT NULL DEFAULT 1;
CREATE INDEX submissions_loose ON submissions(session) WHERE loose = 1;
CREATE TABLE journal(pk INTEGER PRIMARY KEY, submission TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    body BLOB NOT NULL, after INTEGER NOT NULL, spent_ms INTEGER NOT NULL, attempt INTEGER NOT NULL);
CREATE INDEX journal_submission ON journal(submission);
INSERT INTO meta VALUES ('seq', 0);
"""

# A rowid table, its body last: what does not fit goes to pages of its own, and looking for a name reads none of them.
_V3: Final = """
CREATE TABLE attachments(pk INTEGER PRIMARY KEY, instance INTEGER NOT NULL, id TEXT NOT NULL, mime_type TEXT NOT NULL,
    body BLOB NOT NULL, UNIQUE(instance, id));
CREATE INDEX sessions_parent ON sessions(parent) WHERE parent IS NOT NULL;
"""

MIGRATIONS: Final = (_V1, _V2, _V3)
"""``MIGRATIONS[n]`` leads from format version n to n + 1. A released one is never edited."""


def connect(path: str, durability: Durability) -> sqlite3.Connection:
    """The writing connection, with the format checked, brought up to date and nothing of a foreign file touched.

    Raises:
        StoreFormatError: Not ours, damaged, or from a newer version.
        sqlite3.Error: The file cannot be opened or read.
    """
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.create_function("part_of", 2, part_of, deterministic=True)
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")  # first: switching to WAL may have to wait
        version = _format_version(db)
        _settings(db, durability)
        if version == 1:
            db.execute("VACUUM")  # written without secure_delete: what was deleted may still be there
        _migrate(db, version)
    except BaseException:
        db.close()
        raise
    return db


def connect_reader(path: str) -> sqlite3.Connection:
    """A connection that cannot write, to a file that `connect` has been at."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
    db.execute("PRAGMA query_only = ON")
    return db


def raise_epoch(db: sqlite3.Connection) -> int:
    """A number no earlier owner of this file had."""
    db.execute("UPDATE meta SET value = value + 1 WHERE key = 'epoch'")
    (epoch,) = db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    return int(epoch)


def checkpoint(db: sqlite3.Connection) -> bool:
    """Move everything from the write-ahead log into the file and empty the log: the file alone is the store.

    False: not done, somebody is reading.
    """
    ((busy, _, _),) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return not busy


def _format_version(db: sqlite3.Connection) -> int:
    """The stamp; 0 for a file without content."""
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id == 0 and tables == 0:
        return 0
    if application_id != APPLICATION_ID:
        raise StoreFormatError(
            "The file is an SQLite database of another program.",
            details="Point the store at another file.",
            dev=f"application_id {application_id:#x}, {tables} tables",
        )
    stamp = db.execute("SELECT value FROM meta WHERE key = 'format_version'").fetchone()
    if stamp is None:
        raise StoreFormatError(
            "The conversation store is damaged.", details="Restore it from a backup.", dev="no stamp"
        )
    version = int(stamp[0])
    if version > FORMAT_VERSION:
        raise StoreFormatError(
            f"The conversation store has format version {version}; this program knows up to {FORMAT_VERSION}.",
            details="Upgrade the program, or point the store at another file.",
        )
    return version


def _settings(db: sqlite3.Connection, durability: Durability) -> None:
    db.execute("PRAGMA page_size = 16384")  # 1.08x a 1 KB body on disk; with 4 KB pages 1.35x. New files only.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
    db.execute("PRAGMA wal_autocheckpoint = 256")  # 4 MiB: the longest stall of a commit stays about 10 ms
    db.execute("PRAGMA cache_size = -65536")
    db.execute("PRAGMA secure_delete = ON").fetchall()  # what is erased is overwritten, also where it lay before


def _migrate(db: sqlite3.Connection, version: int) -> None:
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        try:
            db.executescript(f"BEGIN IMMEDIATE; {script}")
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute("INSERT OR REPLACE INTO meta VALUES ('format_version', ?)", (number,))
            db.execute("COMMIT")
        except BaseException:
            db.rollback()
            raise
