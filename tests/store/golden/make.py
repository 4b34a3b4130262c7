"""Writes the golden file of the current format version beside this script, as SQL text. Run it once per version:

python tests/store/golden/make.py
"""

import asyncio
import sqlite3
import tempfile
from pathlib import Path

from flue_actors.ids import AgentKey
from flue_actors.storage import (
    FORMAT_VERSION,
    Admit,
    Append,
    Claim,
    Decide,
    Entry,
    PutAttachment,
    PutKv,
    RequestAbort,
    Requeue,
    Settle,
    Submission,
    Suspend,
    WriteJournal,
)
from flue_actors.store import sqlite

KEY = AgentKey("joke-teller", "user-1")


async def fill(path: Path) -> None:
    """One settled, one running and one waiting input, two entries, one value, journals, a task's session, an attachment."""
    store = sqlite(path)
    fence = await store.open()
    for n in (1, 2, 3):
        new = Submission(
            id=f"sub_{n}",
            key=KEY,
            session="default",
            kind="direct",
            payload=b'{"message":"hi"}',
            accepted_at=n,
            principal=b'{"subject":"u"}',
            policy="steer",
            idempotency_key=f"order {n}",
        )
        await store.commit(fence, Admit(new))
    rows = tuple(
        Entry(seq=seq, kind="message", at=seq, body=body, submission_id="sub_1")
        for seq, body in ((1, b'{"text":"hi"}'), (2, b'{"text":"ha"}'))
    )
    claim = Claim(submission_id="sub_1", attempt=1, at=4, deadline=9, version="v1", fingerprint="f1")
    await store.commit(fence, claim, Append(key=KEY, session="default", entries=rows, submission_id="sub_1", attempt=1))
    await store.commit(
        fence, Settle(submission_id="sub_1", attempt=1, outcome="completed", at=5, result=b'{"text":"ha"}')
    )
    await store.commit(
        fence, Claim(submission_id="sub_2", attempt=1, at=6), Requeue(submission_id="sub_2", attempt=1, spent_ms=7)
    )
    await store.commit(fence, Claim(submission_id="sub_2", attempt=2, at=8, host="sub_1"))
    piece = WriteJournal(
        submission_id="sub_2", attempt=2, kind="text", name="turn_1", body=b"Once", after=2, spent_ms=9
    )
    await store.commit(fence, piece, RequestAbort(submission_ids=("sub_2",), reason="aborted"))
    await store.commit(fence, PutKv(key=KEY, kind="state", name="mood", body=b'"good"'))
    await store.commit(fence, Claim(submission_id="sub_3", attempt=1, at=10))
    call = WriteJournal(submission_id="sub_3", attempt=1, kind="approval", name="c1", body=b"?", after=2, spent_ms=1)
    await store.commit(fence, call, Suspend(submission_id="sub_3", attempt=1, spent_ms=3))
    await store.commit(fence, Decide(submission_id="sub_3", name="c1", body=b"yes", resume=False))
    asked = Entry(seq=1, kind="message", at=11, body=b"{}", submission_id="sub_2")
    await store.commit(fence, Append(key=KEY, session="task:default:c0", entries=(asked,), parent="default"))
    await store.commit(fence, PutAttachment(key=KEY, id="5" * 64, mime_type="image/png", body=b"\x89PNG"))
    await store.close()


def main() -> None:
    """Fill a store and dump it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flue.db"
        asyncio.run(fill(path))
        db = sqlite3.connect(path)
        dump = "\n".join(db.iterdump())
        db.close()
    (Path(__file__).parent / f"v{FORMAT_VERSION}.sql").write_text(dump + "\n")


if __name__ == "__main__":
    main()
