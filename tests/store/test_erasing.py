"""No byte is left of what was erased."""

import asyncio
import random
import re
import sqlite3
from pathlib import Path

import pytest

from flue_actors.errors import StoreUnavailableError
from flue_actors.ids import AgentKey
from flue_actors.storage import (
    Admit,
    Append,
    Claim,
    Entry,
    Erase,
    Fence,
    Op,
    Prune,
    PutAttachment,
    PutKv,
    RequestAbort,
    Settle,
    Store,
    Submission,
    WriteJournal,
)
from flue_actors.store import sqlite
from tests.store.faulty import no_file_longer_than
from tests.store.inputs import KEY, append

CANARY = "<CANARY>"
SECRET = f"{CANARY} is here".encode()
BIG = SECRET * 10_000

new = Submission(id="sub_1", key=KEY, session="default", kind="direct", payload=b"{}", accepted_at=1)
claim = Claim(submission_id="sub_1", attempt=1, at=2)
places: dict[str, tuple[Op, ...]] = {
    "payload": (Admit(Submission(id="s", key=KEY, session="d", kind="direct", payload=SECRET, accepted_at=1)),),
    "big_payload": (Admit(Submission(id="s", key=KEY, session="d", kind="direct", payload=BIG, accepted_at=1)),),
    "principal": (
        Admit(Submission(id="s", key=KEY, session="d", kind="direct", payload=b"", accepted_at=1, principal=SECRET)),
    ),
    "idempotency_key": (
        Admit(
            Submission(id="s", key=KEY, session="d", kind="direct", payload=b"", accepted_at=1, idempotency_key=CANARY)
        ),
    ),
    "session": (Append(key=KEY, session=CANARY, entries=(Entry(seq=1, kind="message", at=1, body=b"{}"),)),),
    "instance": (append(1, key=AgentKey("a", CANARY)),),
    "entry": (append(1, SECRET),),
    "big_entry": (append(1, BIG),),
    "result": (
        Admit(new),
        claim,
        Settle(submission_id="sub_1", attempt=1, outcome="completed", at=3, result=SECRET),
    ),
    "error": (Admit(new), Settle(submission_id="sub_1", attempt=0, outcome="failed", at=3, error=SECRET)),
    "journal": (
        Admit(new),
        claim,
        WriteJournal(submission_id="sub_1", attempt=1, kind="text", name="t", body=SECRET, after=1, spent_ms=1),
    ),
    "big_journal": (
        Admit(new),
        claim,
        WriteJournal(submission_id="sub_1", attempt=1, kind="step", name="t", body=BIG, after=1, spent_ms=1),
    ),
    "journal_of_something_settled": (
        Admit(new),
        claim,
        WriteJournal(submission_id="sub_1", attempt=1, kind="text", name="t", body=SECRET, after=1, spent_ms=1),
        Settle(submission_id="sub_1", attempt=1, outcome="completed", at=3),
    ),
    "value": (PutKv(key=KEY, kind="state", name="n", body=SECRET),),
    "name_of_a_value": (PutKv(key=KEY, kind="state", name=CANARY, body=b""),),
    "value_that_was_replaced": (
        PutKv(key=KEY, kind="state", name="n", body=BIG),
        PutKv(key=KEY, kind="state", name="n", body=b"1"),
    ),
    "value_that_was_removed": (
        PutKv(key=KEY, kind="state", name="n", body=SECRET),
        PutKv(key=KEY, kind="state", name="n", body=None),
    ),
    "attachment": (PutAttachment(key=KEY, id="a", mime_type="image/png", body=SECRET),),
    "big_attachment": (PutAttachment(key=KEY, id="a", mime_type="image/png", body=BIG),),
    "attachment_given_again": (
        PutAttachment(key=KEY, id="a", mime_type="image/png", body=BIG),
        PutAttachment(key=KEY, id="a", mime_type="image/gif", body=BIG),
    ),
    "id_of_an_attachment": (PutAttachment(key=KEY, id=CANARY, mime_type="image/png", body=b""),),
    "approval": (
        Admit(new),
        claim,
        WriteJournal(submission_id="sub_1", attempt=1, kind="approval", name="c", body=SECRET, after=1, spent_ms=1),
    ),
    "decision_that_was_replaced": (
        Admit(new),
        claim,
        WriteJournal(submission_id="sub_1", attempt=1, kind="approval", name="c", body=BIG, after=1, spent_ms=1),
        WriteJournal(submission_id="sub_1", attempt=1, kind="approval", name="c", body=b"", after=1, spent_ms=1),
    ),
    "task": (
        append(1),
        Append(key=KEY, session="t", entries=(Entry(seq=1, kind="message", at=1, body=BIG),), parent="default"),
    ),
    "something_pruned": (
        Admit(Submission(id="s", key=KEY, session="d", kind="direct", payload=SECRET, accepted_at=1)),
        Settle(submission_id="s", attempt=0, outcome="aborted", at=1),
        Prune(settled_before=9, limit=9),
    ),
}


REPLACED = {"value_that_was_replaced", "value_that_was_removed", "decision_that_was_replaced"}


@pytest.mark.parametrize("place", places)
async def test_an_erased_instance_is_in_no_file(place: str, tmp_path: Path) -> None:
    store, fence = await opened(tmp_path)
    ops = places[place]
    for op in ops:
        await store.commit(fence, op)
    assert place in REPLACED or CANARY in in_files(tmp_path)
    for key in (KEY, AgentKey("a", CANARY)):
        await store.commit(fence, Erase(key=key))
    assert CANARY not in in_files(tmp_path)
    await store.close()
    assert CANARY not in in_files(tmp_path)


async def test_an_erased_session_is_in_no_file_and_the_others_are(tmp_path: Path) -> None:
    store, fence = await opened(tmp_path)
    for name in ("one", "two"):
        rows = tuple(Entry(seq=n, kind="message", at=1, body=f"{name} {n}".encode() * 200) for n in range(1, 200))
        await store.commit(fence, Append(key=KEY, session=name, entries=rows))
        await store.commit(fence, PutKv(key=KEY, kind="frozen", name=name, body=f"{name} text".encode()))
    await store.commit(fence, Erase(key=KEY, session="one"))
    assert "one" not in in_files(tmp_path)
    assert "two 199" in in_files(tmp_path)
    assert len(await store.entries(KEY, "two")) == 199
    await store.close()


async def test_an_erased_session_takes_its_tasks_from_every_file(tmp_path: Path) -> None:
    store, fence = await opened(tmp_path)
    await store.commit(fence, append(1))
    for name, parent, body in (("one", "default", SECRET), ("two", "one", BIG)):
        rows = (Entry(seq=1, kind="message", at=1, body=body),)
        await store.commit(fence, Append(key=KEY, session=name, entries=rows, parent=parent))
    await store.commit(fence, Erase(key=KEY, session="default"))
    assert CANARY not in in_files(tmp_path)
    await store.close()


@pytest.mark.parametrize("seed", range(8))
async def test_no_copy_stays_where_rows_were_moved_about(seed: int, tmp_path: Path) -> None:
    """Rows that grow in the middle of a page move to its neighbours, and so do those of a page that gets too empty."""
    rng = random.Random(seed)
    store, fence = await opened(tmp_path)
    people = set(range(300))
    await asyncio.gather(*(store.commit(fence, *arrive(n)) for n in people))
    waiting = set(range(0, 300, 5))
    for n in rng.sample(sorted(people - waiting), 240):
        await store.commit(fence, answer(n, rng.choice([20, 100, 300])))
    for step in range(4):
        erased = set(rng.sample(sorted(people), len(people) // 3))
        people -= erased
        await asyncio.gather(*(store.commit(fence, Erase(key=AgentKey("a", word(n)))) for n in erased))
        assert told_of(tmp_path) == people
        # Changes those pages, so that what the connection remembers of them is written back.
        names = tuple(f"sub_{n}" for n in waiting)[step::4]
        await store.commit(fence, RequestAbort(submission_ids=names, reason="aborted"))
        assert told_of(tmp_path) == people
    await store.close()
    assert told_of(tmp_path) == people
    check(tmp_path)


def arrive(n: int) -> tuple[Op, ...]:
    key = AgentKey("a", word(n))
    return (Admit(Submission(id=f"sub_{n}", key=key, session="d", kind="direct", payload=b"{}", accepted_at=1)),)


def answer(n: int, length: int) -> Settle:
    return Settle(submission_id=f"sub_{n}", attempt=0, outcome="failed", at=1, error=word(n).encode() * length)


async def test_commits_go_on_while_somebody_reads_and_the_erasure_waits_for_him(tmp_path: Path) -> None:
    store, fence = await opened(tmp_path)
    await store.commit(fence, append(1, SECRET))
    reader = sqlite3.connect(tmp_path / "flue.db", isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM entries").fetchone() == (1,)
    erasing = store.commit(fence, Erase(key=KEY))
    for seq in range(1, 20):
        await store.commit(fence, append(seq, key=AgentKey("a", "another")))
    assert not erasing.done()
    assert CANARY in in_files(tmp_path)
    reader.execute("COMMIT")
    await erasing
    assert CANARY not in in_files(tmp_path)
    reader.close()
    await store.close()


async def test_a_failed_erasure_is_told_and_may_be_repeated(tmp_path: Path) -> None:
    store, fence = await opened(tmp_path)
    for seq in range(1, 30):
        await store.commit(fence, append(seq, BIG))
    with no_file_longer_than(300_000), pytest.raises(StoreUnavailableError):
        await store.commit(fence, Erase(key=KEY))
    await store.commit(fence, Erase(key=KEY))
    assert CANARY not in in_files(tmp_path)
    await store.close()


async def test_a_failed_overwriting_is_told_and_the_erasure_may_be_repeated_while_others_go_on(tmp_path: Path) -> None:
    store, fence = await opened(tmp_path)
    for key, body in ((KEY, b"x" * 1_000_000), (AgentKey("a", "last"), BIG)):
        await store.commit(fence, append(1, body, key=key))
    await store.close()
    fence = await store.open()
    with no_file_longer_than(900_000):
        with pytest.raises(StoreUnavailableError):
            await store.commit(fence, Erase(key=AgentKey("a", "last")))
        assert await store.sessions(AgentKey("a", "last")) == []
        await store.commit(fence, append(2))
    await store.commit(fence, Erase(key=AgentKey("a", "last")))
    assert CANARY not in in_files(tmp_path)
    await store.close()
    check(tmp_path)


@pytest.mark.parametrize("steps", range(6))
async def test_an_erasure_whose_tasks_are_cancelled_is_not_acknowledged_before_it_is_done(
    steps: int, tmp_path: Path
) -> None:
    store, fence = await opened(tmp_path)
    await store.commit(fence, append(1, SECRET))
    erasing = store.commit(fence, Erase(key=KEY))
    for _ in range(steps):
        await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    (outcome,) = await asyncio.gather(erasing, return_exceptions=True)
    if isinstance(outcome, StoreUnavailableError):
        await store.commit(fence, Erase(key=KEY))
    assert CANARY not in in_files(tmp_path)
    await store.close()


async def test_closing_waits_for_what_is_being_erased(tmp_path: Path) -> None:
    store, fence = await opened(tmp_path)
    await store.commit(fence, append(1, SECRET))
    erasing = store.commit(fence, Erase(key=KEY))
    await store.close()
    assert erasing.done()
    await erasing
    assert CANARY not in in_files(tmp_path)


async def test_the_other_commits_of_a_batch_do_not_wait(tmp_path: Path) -> None:
    store, fence = await opened(tmp_path)
    reader = sqlite3.connect(tmp_path / "flue.db", isolation_level=None)
    await store.commit(fence, append(1, SECRET))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM entries").fetchone()
    erasing = [store.commit(fence, Erase(key=KEY)), store.commit(fence, append(1, key=AgentKey("a", "another")))]
    await erasing[1]
    assert not erasing[0].done()
    reader.close()
    await erasing[0]
    await store.close()


async def opened(folder: Path) -> tuple[Store, Fence]:
    store = sqlite(folder / "flue.db")
    return store, await store.open()


def word(n: int) -> str:
    return f"<person {n:05}>"


def in_files(folder: Path) -> str:
    return "".join(file.read_bytes().decode("latin-1") for file in sorted(folder.iterdir()))


def told_of(folder: Path) -> set[int]:
    return {int(n) for n in re.findall(r"<person (\d{5})>", in_files(folder))}


def check(folder: Path) -> None:
    db = sqlite3.connect(folder / "flue.db")
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
