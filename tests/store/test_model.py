"""SQLite against the reference store: after any commits both refuse the same and hold the same."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flue_actors.errors import FencedError
from flue_actors.ids import AgentKey
from flue_actors.memory import memory_store
from flue_actors.storage import (
    Admit,
    Append,
    Claim,
    Decide,
    Entry,
    Erase,
    Fence,
    Op,
    Prune,
    PutAttachment,
    PutKv,
    RequestAbort,
    Requeue,
    Settle,
    Store,
    Submission,
    Suspend,
    WriteJournal,
)
from flue_actors.store import sqlite

KEYS = [AgentKey("a", "1"), AgentKey("a", "2")]
NAMES = ["sub_1", "sub_2", "sub_3"]
SESSIONS = ["default", "task:x", "task:y"]
bodies = st.sampled_from([b"", b"{}", b"\x00x"])
keys, names, sessions = st.sampled_from(KEYS), st.sampled_from(NAMES), st.sampled_from(SESSIONS)
attempts = st.integers(0, 2)
ATTACHMENTS = ["0" * 64, "f" * 64]


@st.composite
def appends(draw: st.DrawFn) -> Append:
    first = draw(st.integers(1, 5))
    count = draw(st.integers(0, 3))
    jump = draw(st.sampled_from([1, 1, 1, 2]))
    owner = draw(st.none() | names)
    entries = tuple(
        Entry(seq=first + n * jump, kind="message", at=n, body=draw(bodies), submission_id=owner) for n in range(count)
    )
    return Append(
        key=draw(keys),
        session=draw(sessions),
        entries=entries,
        submission_id=owner,
        attempt=draw(attempts),
        parent=draw(st.none() | sessions),
    )


inputs = st.builds(
    Submission,
    id=names,
    key=keys,
    session=sessions,
    kind=st.just("direct"),
    payload=bodies,
    accepted_at=st.integers(1, 4),
    policy=st.sampled_from(["queue", "steer"]),
    idempotency_key=st.sampled_from([None, None, "k1", "k2"]),
)
claims = st.builds(
    Claim,
    submission_id=names,
    attempt=st.integers(1, 3),
    at=st.integers(2, 4),
    host=st.none() | names,
    version=st.none() | st.just("v"),
)
settles = st.builds(
    Settle,
    submission_id=names,
    attempt=attempts,
    outcome=st.sampled_from(["completed", "failed"]),
    at=st.integers(3, 6),
)
values = st.builds(
    PutKv,
    key=keys,
    kind=st.sampled_from(["state", "frozen"]),
    name=st.sampled_from(["default", "y"]),
    body=st.none() | bodies,
)
journals = st.builds(
    WriteJournal,
    submission_id=names,
    attempt=attempts,
    kind=st.sampled_from(["text", "step", "approval"]),
    name=st.just("n"),
    body=bodies,
    after=st.integers(0, 3),
    spent_ms=st.integers(0, 9),
)
suspends = st.builds(Suspend, submission_id=names, attempt=attempts, spent_ms=st.integers(0, 9))
decides = st.builds(Decide, submission_id=names, name=st.just("n"), body=bodies, resume=st.booleans())
attachments = st.builds(
    PutAttachment, key=keys, id=st.sampled_from(ATTACHMENTS), mime_type=st.sampled_from(["a", "b"]), body=bodies
)
requeues = st.builds(Requeue, submission_id=names, attempt=attempts, spent_ms=st.integers(0, 9))
aborts = st.builds(RequestAbort, submission_ids=st.lists(names, max_size=2).map(tuple), reason=st.sampled_from("ab"))
erases = st.builds(Erase, key=keys, session=st.none() | sessions)
prunes = st.builds(Prune, settled_before=st.integers(3, 7), limit=st.integers(0, 2))
admits = st.builds(Admit, inputs)
operations: st.SearchStrategy[Op] = st.one_of(
    *(
        admits,
        admits,
        claims,
        claims,
        appends(),
        appends(),
        settles,
        values,
        journals,
        requeues,
        aborts,
        erases,
        prunes,
    ),
    *(journals, suspends, suspends, decides, attachments),
)
commits = st.lists(operations, min_size=1, max_size=4).map(tuple)
batches = st.lists(st.lists(commits, min_size=1, max_size=6), max_size=6)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches, st.booleans())
def test_both_refuse_the_same_and_hold_the_same(batches: list[list[tuple[Op, ...]]], reopen: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(sqlite(Path(folder) / "flue.db", durability="process"), batches, reopen))


async def compare(store: Store, batches: list[list[tuple[Op, ...]]], reopen: bool) -> None:
    reference = memory_store()
    fences = await store.open(), await reference.open()
    try:
        for number, batch in enumerate(batches):
            if reopen and number == 3:
                await store.close()
                fences = await store.open(), fences[1]
            assert await outcomes(store, fences[0], batch) == await outcomes(reference, fences[1], batch)
            assert await content(store) == await content(reference)
    finally:
        await store.close()


async def outcomes(store: Store, fence: Fence, batch: list[tuple[Op, ...]]) -> list[object]:
    found = await asyncio.gather(*(store.commit(fence, *ops) for ops in batch), return_exceptions=True)
    return ["refused" if isinstance(outcome, FencedError) else outcome for outcome in found]


async def content(store: Store) -> list[object]:
    held: list[object] = [await store.unsettled(), *[await store.submission(name) for name in NAMES]]
    held += [await store.journal(name) for name in NAMES]
    held += [await store.idle(before=before, after=after, limit=1) for before in (2, 4) for after in (None, KEYS[0])]
    for key in KEYS:
        held += [await store.sessions(key), await store.kv(key, "state"), await store.kv(key, "frozen")]
        held += [await store.attachment(key, id) for id in ATTACHMENTS]
        held += [(await store.last_seq(key, name), await store.entries(key, name)) for name in SESSIONS]
        held += [await store.entries(key, "default", before=before, limit=2) for before in (0, 1, 3)]
    return held
