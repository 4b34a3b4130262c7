"""What fails, whom it hits, and that the store is usable afterwards."""

import asyncio
import gc
import logging
import sqlite3
import time
from functools import partial
from pathlib import Path

import pytest

from flue_actors.errors import FencedError, StoreError, StoreUnavailableError
from flue_actors.ids import AgentKey
from flue_actors.storage import Admit, Append, Claim, Committed, Entry, PutKv, Settle, Submission
from flue_actors.store import sqlite
from flue_actors.store.schema import connect
from flue_actors.store.writer import Writer
from tests.store.faulty import no_file_longer_than
from tests.store.inputs import KEY, append

MIB = b"x" * 1_048_576


async def test_a_full_disk_fails_every_commit_of_the_batch_and_later_ones_succeed(tmp_path: Path) -> None:
    writer = Writer(partial(connect, str(tmp_path / "flue.db"), "power"))
    await writer.open()
    await writer.enqueue((append(1),))
    await writer.run(partial(pages, most=40))
    big = [writer.enqueue((append(seq, MIB if seq == 3 else b"{}"),)) for seq in (2, 3, 4)]
    outcomes = await asyncio.gather(*big, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailableError] * 3
    assert await writer.run(entries) == 1
    await writer.enqueue((append(2),))
    await writer.run(partial(pages, most=1_000_000))
    await writer.enqueue((append(3, MIB),))
    assert await writer.run(entries) == 3
    assert writer.statistics().failed == 3
    await writer.close()


async def test_an_io_error_fails_the_batch_while_reads_go_on_and_later_commits_succeed(tmp_path: Path) -> None:
    store = sqlite(tmp_path / "flue.db")
    fence = await store.open()
    await store.commit(fence, append(1))
    with no_file_longer_than(300_000):
        failed = [store.commit(fence, append(2, MIB)), store.commit(fence, append(3))]
        outcomes = await asyncio.gather(*failed, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StoreUnavailableError] * 2
        assert await store.last_seq(KEY, "default") == 1
    await store.commit(fence, append(2, MIB))
    assert [len(entry.body) for entry in await store.entries(KEY, "default")] == [2, len(MIB)]
    await store.close()


async def test_the_connection_is_replaced_after_an_io_error(tmp_path: Path) -> None:
    opened: list[sqlite3.Connection] = []

    def connector() -> sqlite3.Connection:
        opened.append(connect(str(tmp_path / "flue.db"), "power"))
        return opened[-1]

    writer = Writer(connector)
    await writer.open()
    with no_file_longer_than(300_000), pytest.raises(StoreUnavailableError):
        await writer.enqueue((append(1, MIB),))
    await writer.enqueue((append(1),))
    await writer.close()
    assert len(opened) == 2


async def test_a_connection_that_cannot_be_replaced_fails_commits_until_it_can(tmp_path: Path) -> None:
    gone = False

    def connector() -> sqlite3.Connection:
        if gone:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(str(tmp_path / "flue.db"), "power")

    writer = Writer(connector)
    await writer.open()
    gone = True
    with no_file_longer_than(300_000), pytest.raises(StoreUnavailableError):
        await writer.enqueue((append(1, MIB),))
    with pytest.raises(StoreError):
        await writer.enqueue((append(1),))
    gone = False
    await writer.enqueue((append(1),))
    await writer.close()


async def test_callers_see_neither_path_nor_the_databases_words(tmp_path: Path) -> None:
    store = sqlite(tmp_path / "flue.db")
    fence = await store.open()
    with no_file_longer_than(300_000), pytest.raises(StoreUnavailableError) as error:
        await store.commit(fence, append(1, MIB))
    shown = f"{error.value} {error.value.message} {error.value.details}"
    assert "disk" not in shown
    assert str(tmp_path) not in shown
    assert "disk I/O error" in error.value.dev
    await store.close()


async def test_a_lasting_failure_is_logged_once_and_so_is_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = sqlite(tmp_path / "flue.db")
    fence = await store.open()
    with no_file_longer_than(300_000):
        for _ in range(5):
            with pytest.raises(StoreUnavailableError):
                await store.commit(fence, append(1, MIB))
    await store.commit(fence, append(1), append(2))
    await store.close()
    assert [record.getMessage() for record in caplog.records] == [
        "the store cannot be written",
        "the store can be written again",
    ]


async def test_what_cannot_be_stored_hits_its_caller_only(tmp_path: Path) -> None:
    store = sqlite(tmp_path / "flue.db")
    fence = await store.open()
    surrogate = PutKv(key=KEY, kind="state", name="\ud800", body=b"1")
    outcomes = await asyncio.gather(
        store.commit(fence, append(1)),
        store.commit(fence, append(2), surrogate),
        store.commit(fence, append(2)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [Committed, StoreError, Committed]
    assert await store.last_seq(KEY, "default") == 2
    await store.close()


async def test_a_failure_that_nobody_awaits_is_silent_but_what_follows_of_that_submission_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = sqlite(tmp_path / "flue.db")
    fence = await store.open()
    new = Submission(id="sub_1", key=KEY, session="default", kind="direct", payload=b"{}", accepted_at=1)
    await store.commit(fence, Admit(new))
    with no_file_longer_than(300_000):
        store.commit(fence, Claim(submission_id="sub_1", attempt=1, at=1), append(1, MIB))
        settle = Settle(submission_id="sub_1", attempt=1, outcome="completed", at=2)
        with pytest.raises(StoreUnavailableError):
            await store.commit(fence, settle)
    entries = (Entry(seq=2, kind="message", at=2, body=b"{}"),)
    with pytest.raises(FencedError):
        await store.commit(
            fence, Append(key=KEY, session="default", entries=entries, submission_id="sub_1", attempt=1), settle
        )
    gc.collect()
    await asyncio.sleep(0)
    assert [record for record in caplog.records if record.name == "asyncio"] == []
    await store.close()


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_cancelling_every_task_loses_no_write(steps: int, tmp_path: Path) -> None:
    store = sqlite(tmp_path / "flue.db")
    fence = await store.open()
    commits = [store.commit(fence, append(seq)) for seq in range(1, 2_500)]
    for _ in range(steps):
        await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.gather(*commits)
    assert await store.last_seq(KEY, "default") == 2_499
    await store.close()


async def test_a_loop_that_is_never_idle_does_not_starve_the_store(tmp_path: Path) -> None:
    store = sqlite(tmp_path / "flue.db")
    fence = await store.open()

    async def spin() -> None:
        while True:
            until = time.perf_counter() + 0.0002
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0)

    spinning = asyncio.create_task(spin())
    started = time.perf_counter()
    for seq in range(1, 41):
        await store.commit(fence, append(seq))
        await store.last_seq(KEY, "default")
    taken = time.perf_counter() - started
    spinning.cancel()
    await store.close()
    assert taken < 4  # about 0.3 s; with two cores and a loop that does not give way it may be minutes


async def test_debug_logging_shows_no_content(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = sqlite(tmp_path / "flue.db")
    fence = await store.open()
    await store.commit(fence, append(1, b"a secret"))
    await store.entries(KEY, "default")
    await store.close()
    assert "secret" not in caplog.text


async def test_more_sessions_than_are_remembered_are_all_right(tmp_path: Path) -> None:
    store = sqlite(tmp_path / "flue.db", durability="process")
    fence = await store.open()
    keys = [AgentKey("a", str(n)) for n in range(10_500)]
    for seq in (1, 2):
        await asyncio.gather(*(store.commit(fence, append(seq, key=key)) for key in keys))
    assert await store.last_seq(keys[0], "default") == 2
    await store.close()


def pages(db: sqlite3.Connection, most: int) -> None:
    db.execute(f"PRAGMA max_page_count = {most}").fetchall()


def entries(db: sqlite3.Connection) -> int:
    return db.execute("SELECT count(*) FROM entries").fetchone()[0]
