"""Records <-> rows: every statement on the tables, and the two directions of translation beside them."""

from collections.abc import Sequence
from typing import Any, Final
from zlib import crc32

from flue_actors.ids import PARTITIONS, AgentKey
from flue_actors.storage import Attachment, Claim, Entry, JournalRow, SessionRecord, Settle, Submission, WriteJournal

Row = Sequence[Any]

# Writing. A guard stands in the WHERE clause: no row changed = refused.
FIND_SESSION: Final = """
    SELECT s.pk, s.instance, (SELECT coalesce(max(e.seq), 0) FROM entries e WHERE e.session = s.pk)
    FROM sessions s JOIN instances i ON i.pk = s.instance WHERE i.agent = ? AND i.id = ? AND s.name = ?"""
FIND_INSTANCE: Final = "SELECT pk FROM instances WHERE agent = ? AND id = ?"
ADD_INSTANCE: Final = "INSERT INTO instances(agent, id, part) VALUES (?, ?, ?)"
ADD_SESSION: Final = "INSERT INTO sessions(instance, name, created_at, parent) VALUES (?, ?, ?, ?)"
ADD_ENTRY: Final = "INSERT INTO entries(session, seq, kind, at, submission, body) VALUES (?, ?, ?, ?, ?, ?)"
NEWEST_SUBMISSION: Final = """
    SELECT max(value, (SELECT coalesce(max(seq), 0) FROM submissions)) FROM meta WHERE key = 'seq'"""
FIND_IDEMPOTENT: Final = "SELECT id FROM submissions WHERE session = ? AND idempotency_key = ?"
ADMIT: Final = """
    INSERT INTO submissions(seq, id, instance, session, part, kind, status, policy, attempt, accepted_at, deadline,
        idempotency_key, dispatch_id, principal, payload, loose)
    VALUES (?, ?, ?, ?, ?, ?, 'queued', ?, 0, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT(id) DO NOTHING"""
CLAIM: Final = """
    UPDATE submissions SET status = 'running', attempt = ?, host = ?, started_at = coalesce(started_at, ?), deadline = ?,
        version = ?, fingerprint = ?
    WHERE id = ? AND outcome IS NULL AND attempt = ?"""
END_ATTEMPT: Final = """
    UPDATE submissions SET status = ?, excused = excused + 1, spent_ms = ?
    WHERE id = ? AND status = 'running' AND attempt = ?"""
RESUME: Final = "UPDATE submissions SET status = 'queued' WHERE id = ?"
REQUEST_ABORT: Final = "UPDATE submissions SET abort = ? WHERE id = ? AND outcome IS NULL AND abort IS NULL"
SETTLE: Final = """
    UPDATE submissions SET status = 'settled', outcome = ?, settled_at = ?, result = ?, error = ?, loose = session IS NOT ?
    WHERE id = ? AND outcome IS NULL AND attempt = ?"""
FIND_RUNNING: Final = "SELECT 1 FROM submissions WHERE id = ? AND status = 'running' AND attempt = ?"
WRITE_JOURNAL: Final = """
    INSERT INTO journal(submission, kind, name, body, after, spent_ms, attempt) VALUES (?, ?, ?, ?, ?, ?, ?)"""
REWRITE_APPROVAL: Final = """
    UPDATE journal SET body = ?, after = ?, spent_ms = ?, attempt = ?
    WHERE submission = ? AND kind = 'approval' AND name = ?"""
DECIDE: Final = """
    UPDATE journal SET body = ? WHERE submission = ? AND kind = 'approval' AND name = ?
        AND EXISTS (SELECT 1 FROM submissions u WHERE u.id = submission AND u.status = 'waiting')"""
FIND_JOURNALED: Final = "SELECT DISTINCT submission FROM journal"
REMOVE_JOURNAL: Final = "DELETE FROM journal WHERE submission = ?"
PUT_KV: Final = """
    INSERT INTO kv(instance, kind, name, body) VALUES (?, ?, ?, ?)
    ON CONFLICT(instance, kind, name) DO UPDATE SET body = excluded.body"""
REMOVE_KV: Final = "DELETE FROM kv WHERE instance = ? AND kind = ? AND name = ?"
PUT_ATTACHMENT: Final = """
    INSERT INTO attachments(instance, id, mime_type, body) VALUES (?, ?, ?, ?) ON CONFLICT(instance, id) DO NOTHING"""

# Erasing: what hangs on a session goes before it. The first two are read to forget what is remembered.
FIND_SESSIONS: Final = """
    WITH RECURSIVE gone(pk, name) AS (
        SELECT pk, name FROM sessions WHERE instance = ? AND name = coalesce(?, name)
        UNION SELECT s.pk, s.name FROM gone JOIN sessions s ON s.parent = gone.pk)
    SELECT pk, name FROM gone"""
FIND_OPEN: Final = "SELECT id FROM submissions WHERE instance = ? AND session = ? AND outcome IS NULL"
RENAME: Final = """
    UPDATE instances SET agent = :new, part = part_of(:new, id)
    WHERE agent = :old AND id NOT IN (SELECT id FROM instances WHERE agent = :new)"""
RENAMED: Final = """
    UPDATE submissions SET part = (SELECT i.part FROM instances i WHERE i.pk = instance)
    WHERE instance IN (SELECT pk FROM instances WHERE agent = :new)"""
ERASE_OPEN: Final = "DELETE FROM submissions WHERE instance = ? AND session = ? AND outcome IS NULL"
ERASE_LOOSE: Final = "DELETE FROM submissions WHERE session = ? AND loose = 1"
ERASE_TOLD: Final = """
    DELETE FROM submissions WHERE session = ? AND id IN (SELECT submission FROM entries WHERE session = ?)"""
ERASE_ENTRIES: Final = "DELETE FROM entries WHERE session = ?"
ERASE_SESSION: Final = "DELETE FROM sessions WHERE pk = ?"
ERASE_KV: Final = "DELETE FROM kv WHERE instance = ?"
ERASE_ATTACHMENTS: Final = "DELETE FROM attachments WHERE instance = ?"
ERASE_INSTANCE: Final = "DELETE FROM instances WHERE pk = ?"
KEEP_SEQ: Final = """
    UPDATE meta SET value = max(value, (SELECT coalesce(max(seq), 0) FROM submissions)) WHERE key = 'seq'"""
PRUNE: Final = """
    DELETE FROM submissions WHERE seq IN (
        SELECT seq FROM (SELECT seq, settled_at FROM submissions ORDER BY seq LIMIT ?)
        WHERE settled_at < ? ORDER BY seq LIMIT ?)"""

# Reading.
_SUBMISSION: Final = """
    SELECT u.id, i.agent, i.id, s.name, u.kind, u.payload, u.accepted_at, u.seq, u.status, u.outcome, u.policy,
        u.attempt, u.excused, u.spent_ms, u.host, u.abort, u.idempotency_key, u.dispatch_id, u.principal, u.started_at,
        u.settled_at, u.deadline, u.version, u.fingerprint, u.result, u.error
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
LAST_ENTRIES: Final = (
    f"SELECT seq, kind, at, body, submission FROM entries WHERE session = {_SESSION} "  # noqa: S608 - a constant
    "AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?"
)
JOURNAL: Final = "SELECT kind, name, body, after, spent_ms, attempt FROM journal WHERE submission = ? ORDER BY pk"
# Two look-ups an instance and one a session: whether something is open, and the time of the newest entry.
IDLE: Final = """
    SELECT i.agent, i.id,
        NOT EXISTS (SELECT 1 FROM submissions u WHERE u.instance = i.pk AND u.outcome IS NULL)
        AND NOT EXISTS (
            SELECT 1 FROM sessions s WHERE s.instance = i.pk AND max(s.created_at, coalesce((
                SELECT e.at FROM entries e WHERE e.session = s.pk ORDER BY e.seq DESC LIMIT 1), 0)) >= ?)
    FROM instances i WHERE (i.agent, i.id) > (?, ?) ORDER BY i.agent, i.id LIMIT ?"""
SESSIONS: Final = """
    SELECT s.name, s.created_at, (SELECT coalesce(max(e.seq), 0) FROM entries e WHERE e.session = s.pk), p.name
    FROM sessions s JOIN instances i ON i.pk = s.instance LEFT JOIN sessions p ON p.pk = s.parent
    WHERE i.agent = ? AND i.id = ? ORDER BY s.pk"""
KV: Final = """
    SELECT kv.name, kv.body FROM kv JOIN instances i ON i.pk = kv.instance
    WHERE i.agent = ? AND i.id = ? AND kv.kind = ?"""

ATTACHMENT: Final = """
    SELECT a.id, a.mime_type, a.body FROM attachments a JOIN instances i ON i.pk = a.instance
    WHERE i.agent = ? AND i.id = ? AND a.id = ?"""


def part_of(agent: str, id: str) -> int:
    """`part`, as statements call it."""
    return part(AgentKey(agent, id))


def part(key: AgentKey) -> int:
    """The partition an instance belongs to, for good: stored rows hold it."""
    return crc32(f"{key.agent}\0{key.id}".encode()) % PARTITIONS


def admit_row(new: Submission, seq: int, instance: int, session: int) -> Row:
    """Parameters of `ADMIT`."""
    return (
        seq,
        new.id,
        instance,
        session,
        part(new.key),
        new.kind,
        new.policy,
        new.accepted_at,
        new.deadline,
        new.idempotency_key,
        new.dispatch_id,
        new.principal,
        new.payload,
    )


def claim_row(op: Claim) -> Row:
    """Parameters of `CLAIM`."""
    return (op.attempt, op.host, op.at, op.deadline, op.version, op.fingerprint, op.submission_id, op.attempt - 1)


def journal_row(op: WriteJournal) -> Row:
    """Parameters of `WRITE_JOURNAL`."""
    return (op.submission_id, op.kind, op.name, op.body, op.after, op.spent_ms, op.attempt)


def approval_row(op: WriteJournal) -> Row:
    """Parameters of `REWRITE_APPROVAL`."""
    return (op.body, op.after, op.spent_ms, op.attempt, op.submission_id, op.name)


def settle_row(op: Settle, told_in: int | None) -> Row:
    """Parameters of `SETTLE`; an entry of the session ``told_in`` names the submission."""
    return (op.outcome, op.at, op.result, op.error, told_in, op.submission_id, op.attempt)


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
        policy=row[10],
        attempt=row[11],
        excused=row[12],
        spent_ms=row[13],
        host=row[14],
        abort=row[15],
        idempotency_key=row[16],
        dispatch_id=row[17],
        principal=row[18],
        started_at=row[19],
        settled_at=row[20],
        deadline=row[21],
        version=row[22],
        fingerprint=row[23],
        result=row[24],
        error=row[25],
    )


def entry(row: Row) -> Entry:
    """A row of `ENTRIES`."""
    return Entry(seq=row[0], kind=row[1], at=row[2], body=row[3], submission_id=row[4])


def journal(row: Row) -> JournalRow:
    """A row of `JOURNAL`."""
    return JournalRow(kind=row[0], name=row[1], body=row[2], after=row[3], spent_ms=row[4], attempt=row[5])


def key_and_idle(row: Row) -> tuple[AgentKey, bool]:
    """A row of `IDLE`."""
    return AgentKey(row[0], row[1]), bool(row[2])


def session_record(row: Row) -> SessionRecord:
    """A row of `SESSIONS`."""
    return SessionRecord(name=row[0], created_at=row[1], last_seq=row[2], parent=row[3])


def attachment(row: Row) -> Attachment:
    """A row of `ATTACHMENT`."""
    return Attachment(id=row[0], mime_type=row[1], body=row[2])


def number(row: Row) -> int:
    """A row of one number."""
    return row[0]


def name_and_body(row: Row) -> tuple[str, bytes]:
    """A row of `KV`."""
    return row[0], row[1]
