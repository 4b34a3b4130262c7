"""Records <-> rows: every statement on the tables, and the two directions of translation beside them."""

from collections.abc import Sequence
from typing import Any, Final
from zlib import crc32

from flue_actors.ids import PARTITIONS, AgentKey
from flue_actors.storage import Claim, Entry, SessionRecord, Settle, Submission

Row = Sequence[Any]

# Writing. A guard stands in the WHERE clause: no row changed = refused.
FIND_SESSION: Final = """
    SELECT s.pk, s.instance, (SELECT coalesce(max(e.seq), 0) FROM entries e WHERE e.session = s.pk)
    FROM sessions s JOIN instances i ON i.pk = s.instance WHERE i.agent = ? AND i.id = ? AND s.name = ?"""
FIND_INSTANCE: Final = "SELECT pk FROM instances WHERE agent = ? AND id = ?"
ADD_INSTANCE: Final = "INSERT INTO instances(agent, id, part) VALUES (?, ?, ?)"
ADD_SESSION: Final = "INSERT INTO sessions(instance, name, created_at) VALUES (?, ?, ?)"
ADD_ENTRY: Final = "INSERT INTO entries(session, seq, kind, at, submission, body) VALUES (?, ?, ?, ?, ?, ?)"
ADMIT: Final = """
    INSERT INTO submissions(id, instance, session, part, kind, status, attempt, accepted_at, deadline, dispatch_id,
        principal, payload)
    VALUES (?, ?, ?, ?, ?, 'queued', 0, ?, ?, ?, ?, ?) ON CONFLICT(id) DO NOTHING"""
CLAIM: Final = """
    UPDATE submissions SET status = 'running', attempt = ?, started_at = ?, deadline = ?, version = ?, fingerprint = ?
    WHERE id = ? AND status = 'queued' AND attempt = ?"""
SETTLE: Final = """
    UPDATE submissions SET status = 'settled', outcome = ?, settled_at = ?, result = ?, error = ?
    WHERE id = ? AND outcome IS NULL AND attempt = ?"""
FIND_RUNNING: Final = "SELECT 1 FROM submissions WHERE id = ? AND status = 'running' AND attempt = ?"
PUT_KV: Final = """
    INSERT INTO kv(instance, kind, name, body) VALUES (?, ?, ?, ?)
    ON CONFLICT(instance, kind, name) DO UPDATE SET body = excluded.body"""
REMOVE_KV: Final = "DELETE FROM kv WHERE instance = ? AND kind = ? AND name = ?"

# Reading.
_SUBMISSION: Final = """
    SELECT u.id, i.agent, i.id, s.name, u.kind, u.payload, u.accepted_at, u.seq, u.status, u.outcome, u.attempt,
        u.dispatch_id, u.principal, u.started_at, u.settled_at, u.deadline, u.version, u.fingerprint, u.result, u.error
    FROM submissions u {index} JOIN instances i ON i.pk = u.instance JOIN sessions s ON s.pk = u.session """
SUBMISSION: Final = _SUBMISSION.format(index="") + "WHERE u.id = ?"
# The index named: ordered by seq, the planner would rather walk a million settled rows than sort a handful.
UNSETTLED: Final = _SUBMISSION.format(index="INDEXED BY submissions_open") + "WHERE u.outcome IS NULL ORDER BY u.seq"
_SESSION: Final = """(
    SELECT s.pk FROM sessions s JOIN instances i ON i.pk = s.instance WHERE i.agent = ? AND i.id = ? AND s.name = ?)"""
LAST_SEQ: Final = f"SELECT coalesce(max(seq), 0) FROM entries WHERE session = {_SESSION}"  # noqa: S608 - a constant
ENTRIES: Final = (
    f"SELECT seq, kind, at, body, submission FROM entries WHERE session = {_SESSION} "  # noqa: S608 - a constant
    "AND seq > ? ORDER BY seq LIMIT ?"
)
SESSIONS: Final = """
    SELECT s.name, s.created_at, (SELECT coalesce(max(e.seq), 0) FROM entries e WHERE e.session = s.pk), p.name
    FROM sessions s JOIN instances i ON i.pk = s.instance LEFT JOIN sessions p ON p.pk = s.parent
    WHERE i.agent = ? AND i.id = ? ORDER BY s.pk"""
KV: Final = """
    SELECT kv.name, kv.body FROM kv JOIN instances i ON i.pk = kv.instance
    WHERE i.agent = ? AND i.id = ? AND kv.kind = ?"""


def part(key: AgentKey) -> int:
    """The partition an instance belongs to, for good: stored rows hold it."""
    return crc32(f"{key.agent}\0{key.id}".encode()) % PARTITIONS


def admit_row(new: Submission, instance: int, session: int) -> Row:
    """Parameters of `ADMIT`."""
    return (
        new.id,
        instance,
        session,
        part(new.key),
        new.kind,
        new.accepted_at,
        new.deadline,
        new.dispatch_id,
        new.principal,
        new.payload,
    )


def claim_row(op: Claim) -> Row:
    """Parameters of `CLAIM`."""
    return (op.attempt, op.at, op.deadline, op.version, op.fingerprint, op.submission_id, op.attempt - 1)


def settle_row(op: Settle) -> Row:
    """Parameters of `SETTLE`."""
    return (op.outcome, op.at, op.result, op.error, op.submission_id, op.attempt)


def submission(row: Row) -> Submission:
    """A row of `SUBMISSION` or `UNSETTLED`."""
    return Submission(
        id=row[0],
        key=AgentKey(row[1], row[2]),
        session=row[3],
        kind=row[4],
        payload=row[5],
        accepted_at=row[6],
        seq=row[7],
        status=row[8],
        outcome=row[9],
        attempt=row[10],
        dispatch_id=row[11],
        principal=row[12],
        started_at=row[13],
        settled_at=row[14],
        deadline=row[15],
        version=row[16],
        fingerprint=row[17],
        result=row[18],
        error=row[19],
    )


def entry(row: Row) -> Entry:
    """A row of `ENTRIES`."""
    return Entry(seq=row[0], kind=row[1], at=row[2], body=row[3], submission_id=row[4])


def session_record(row: Row) -> SessionRecord:
    """A row of `SESSIONS`."""
    return SessionRecord(name=row[0], created_at=row[1], last_seq=row[2], parent=row[3])


def number(row: Row) -> int:
    """A row of one number."""
    return row[0]


def name_and_body(row: Row) -> tuple[str, bytes]:
    """A row of `KV`."""
    return row[0], row[1]
