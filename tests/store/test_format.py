"""The file format: what is created, what is refused, and that files of earlier versions open."""

import sqlite3
from pathlib import Path
from typing import get_args

import pytest

from flue_actors.errors import ConfigError, StoreError, StoreFormatError, StoreUnavailableError
from flue_actors.ids import AgentKey
from flue_actors.storage import (
    FORMAT_VERSION,
    Append,
    Attachment,
    Claim,
    Decide,
    Entry,
    Erase,
    JournalRow,
    Settle,
    Submission,
)
from flue_actors.store import rows, sqlite
from flue_actors.store.schema import APPLICATION_ID, MIGRATIONS, Durability

GOLDEN = sorted(Path(__file__).parent.glob("golden/*.sql"))
KEY = AgentKey("joke-teller", "user-1")


async def test_parents_are_created_and_the_file_alone_is_the_store_after_close(tmp_path: Path) -> None:
    store = sqlite(tmp_path / "a" / "b" / "flue.db")
    await store.open()
    await store.close()
    assert sorted(file.name for file in (tmp_path / "a" / "b").iterdir()) == ["flue.db", "flue.db.lock"]


async def test_the_file_tells_what_it_is(tmp_path: Path) -> None:
    store = sqlite(tmp_path / "flue.db")
    await store.open()
    await store.close()
    assert pragmas(tmp_path / "flue.db", "application_id", "page_size", "journal_mode") == [
        APPLICATION_ID,
        16384,
        "wal",
    ]


@pytest.mark.parametrize("durability", get_args(Durability))
async def test_both_durabilities_open_the_same_file(durability: Durability, tmp_path: Path) -> None:
    for _ in range(2):
        store = sqlite(tmp_path / "flue.db", durability=durability)
        await store.open()
        await store.close()


async def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "foreign.db"
    execute(path, "CREATE TABLE users(name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreFormatError, match="another program"):
        await sqlite(path).open()
    assert path.read_bytes() == before


async def test_a_newer_version_is_refused_with_both_versions_named(tmp_path: Path) -> None:
    path = await made(tmp_path)
    execute(path, "UPDATE meta SET value = 7 WHERE key = 'format_version'")
    with pytest.raises(StoreFormatError, match=f"version 7; this program knows up to {FORMAT_VERSION}"):
        await sqlite(path).open()


async def test_a_file_without_its_stamp_is_refused(tmp_path: Path) -> None:
    path = await made(tmp_path)
    execute(path, "DELETE FROM meta WHERE key = 'format_version'")
    with pytest.raises(StoreFormatError, match="damaged"):
        await sqlite(path).open()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flue.db"
    path.write_text("to be or not to be " * 100)
    with pytest.raises(StoreFormatError, match="damaged"):
        await sqlite(path).open()


async def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = await made(tmp_path)
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(StoreFormatError, match="damaged"):
        await sqlite(path).open()


async def test_a_damaged_page_is_a_clear_error_when_it_is_read(tmp_path: Path) -> None:
    path = await made(tmp_path)
    page = int(str(query(path, "SELECT rootpage FROM sqlite_master WHERE name LIKE '%autoindex_submissions%'")[0][0]))
    damaged = bytearray(path.read_bytes())
    damaged[(page - 1) * 16384 : page * 16384] = b"\xff" * 16384
    path.write_bytes(damaged)
    store = sqlite(path)
    await store.open()
    with pytest.raises(StoreFormatError):
        await store.submission("sub_1")
    await store.close()


async def test_a_place_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError) as error:
        await sqlite(tmp_path / "file" / "flue.db").open()
    assert "file" not in error.value.message + error.value.details


@pytest.mark.parametrize("path", ["", ":memory:", "."])
def test_a_path_that_is_no_file_is_a_config_error(path: str) -> None:
    with pytest.raises(ConfigError):
        sqlite(path)


def test_every_format_version_has_its_migration_and_its_golden_file() -> None:
    assert len(MIGRATIONS) == FORMAT_VERSION
    assert [file.stem for file in GOLDEN] == [f"v{version}" for version in range(1, FORMAT_VERSION + 1)]


@pytest.mark.parametrize("version", [file.stem for file in GOLDEN])
async def test_a_file_of_every_released_version_opens_with_its_content(version: str, tmp_path: Path) -> None:
    path = golden(tmp_path, version)
    store = sqlite(path)
    fence = await store.open()
    assert [found.id for found in await store.unsettled()] == ["sub_2", "sub_3"]
    settled = await store.submission("sub_1")
    assert settled is not None
    assert (settled.outcome, settled.result, settled.principal) == ("completed", b'{"text":"ha"}', b'{"subject":"u"}')
    assert [entry.body for entry in await store.entries(KEY, "default")] == [b'{"text":"hi"}', b'{"text":"ha"}']
    assert await store.kv(KEY, "state") == {"mood": b'"good"'}
    last = Entry(seq=3, kind="message", at=9, body=b"{}")
    await store.commit(fence, Append(key=KEY, session="default", entries=(last,)))
    await store.close()
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


async def test_a_file_of_version_1_is_brought_up_to_date_in_one_step_or_not_at_all(tmp_path: Path) -> None:
    path = golden(tmp_path, "v1")
    execute(path, "CREATE TABLE journal(x)")  # in the way of the last of the statements
    with pytest.raises(StoreError):
        await sqlite(path).open()
    assert query(path, "SELECT value FROM meta WHERE key = 'format_version'") == [(1,)]
    assert "excused" not in {row[1] for row in query(path, "PRAGMA table_info(submissions)")}
    execute(path, "DROP TABLE journal")
    store = sqlite(path)
    await store.open()
    await store.close()
    assert query(path, "SELECT value FROM meta WHERE key = 'format_version'") == [(FORMAT_VERSION,)]


async def test_what_version_1_had_is_worked_on_and_erased(tmp_path: Path) -> None:
    path = golden(tmp_path, "v1")
    store = sqlite(path)
    fence = await store.open()
    running = await store.submission("sub_2")
    assert running is not None
    assert (running.policy, running.excused, running.spent_ms, running.abort) == ("queue", 0, 0, None)
    await store.commit(fence, Claim(submission_id="sub_2", attempt=2, at=9))
    await store.commit(fence, Settle(submission_id="sub_2", attempt=2, outcome="completed", at=10))
    await store.commit(fence, Erase(key=KEY))
    assert [await store.submission(f"sub_{n}") for n in (1, 2, 3)] == [None] * 3
    await store.close()
    assert query(path, "SELECT count(*) FROM submissions") == [(0,)]


async def test_what_version_1_had_deleted_is_gone_for_good(tmp_path: Path) -> None:
    path = golden(tmp_path, "v1")
    canary = "<CANARY>" * 100
    execute(
        path,
        f"""PRAGMA secure_delete = OFF;
        INSERT INTO kv VALUES (1, 'state', 'n', '{canary}'), (1, 'state', 'o', 1);
        DELETE FROM kv WHERE name = 'n';""",
    )
    assert canary.encode() in path.read_bytes()
    store = sqlite(path)
    await store.open()
    await store.close()
    assert b"CANARY" not in path.read_bytes()


async def test_version_2_keeps_all_that_it_knows(tmp_path: Path) -> None:
    store = sqlite(golden(tmp_path, "v2"))
    await store.open()
    running = await store.submission("sub_2")
    assert running is not None
    assert (running.status, running.attempt, running.excused, running.spent_ms) == ("running", 2, 1, 7)
    assert (running.started_at, running.host, running.abort) == (6, "sub_1", "aborted")
    assert (running.policy, running.idempotency_key) == ("steer", "order 2")
    piece = JournalRow(kind="text", name="turn_1", body=b"Once", after=2, spent_ms=9, attempt=2)
    assert await store.journal("sub_2") == [piece]
    await store.close()


async def test_version_3_keeps_all_that_it_knows(tmp_path: Path) -> None:
    store = sqlite(golden(tmp_path, "v3"))
    fence = await store.open()
    waiting = await store.submission("sub_3")
    assert waiting is not None
    assert (waiting.status, waiting.attempt, waiting.excused, waiting.spent_ms) == ("waiting", 1, 1, 3)
    decided = JournalRow(kind="approval", name="c1", body=b"yes", after=2, spent_ms=1, attempt=1)
    assert await store.journal("sub_3") == [decided]
    assert [(found.name, found.parent) for found in await store.sessions(KEY)] == [
        ("default", None),
        ("task:default:c0", "default"),
    ]
    assert await store.attachment(KEY, "5" * 64) == Attachment(id="5" * 64, mime_type="image/png", body=b"\x89PNG")
    await store.commit(fence, Decide(submission_id="sub_3", name="c1", body=b"no", resume=True))
    await store.close()


async def test_unsettled_reads_only_what_is_open(tmp_path: Path) -> None:
    from flue_actors.store.rows import UNSETTLED

    path = await made(tmp_path)
    plan = " ".join(str(row) for row in query(path, "EXPLAIN QUERY PLAN " + UNSETTLED))
    assert "USING INDEX submissions_open" in plan
    assert "SCAN i" not in plan
    assert "SCAN s" not in plan


async def test_no_statement_walks_a_whole_table(tmp_path: Path) -> None:
    path = await made(tmp_path)
    statements = {name: sql for name, sql in vars(rows).items() if isinstance(sql, str) and name[0].isupper()}
    bounded = {"PRUNE", "FIND_JOURNALED", "UNSETTLED"}  # by a LIMIT, by what runs, by what is open
    bounded |= {"RENAME", "RENAMED"}  # by what the agent has, once
    for name in statements.keys() - bounded:
        plan = " ".join(str(row) for row in query(path, "EXPLAIN QUERY PLAN " + statements[name].replace("?", "1")))
        assert "SCAN " not in plan.replace("SCAN CONSTANT ROW", "").replace("SCAN gone", ""), name


async def test_a_1_kib_entry_takes_at_most_1_15_times_its_size(tmp_path: Path) -> None:
    store = sqlite(tmp_path / "flue.db", durability="process")
    fence = await store.open()
    for key in range(20):
        for start in range(1, 501, 100):
            entries = [
                Entry(seq=seq, kind="message", at=1_700_000_000_000, body=b"x" * 1024, submission_id="sub_" + "0" * 26)
                for seq in range(start, start + 100)
            ]
            _ = store.commit(fence, Append(key=AgentKey("a", str(key)), session="s", entries=tuple(entries)))
    await store.close()
    assert (tmp_path / "flue.db").stat().st_size / 10_000 <= 1.15 * 1024


async def test_a_submission_of_every_field_survives(tmp_path: Path) -> None:
    names = {row[1] for row in query(await made(tmp_path), "PRAGMA table_info(submissions)")}
    assert set(Submission.__struct_fields__) - {"key"} <= names


async def made(folder: Path) -> Path:
    store = sqlite(folder / "flue.db")
    await store.open()
    await store.close()
    return folder / "flue.db"


def golden(folder: Path, version: str) -> Path:
    path = folder / "flue.db"
    execute(path, (Path(__file__).parent / "golden" / f"{version}.sql").read_text())
    execute(path, f"PRAGMA application_id = {APPLICATION_ID}")  # a dump does not hold it
    return path


def execute(path: Path, script: str) -> None:
    db = sqlite3.connect(path)
    db.executescript(script)
    db.close()


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(path)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def pragmas(path: Path, *names: str) -> list[object]:
    return [query(path, f"PRAGMA {name}")[0][0] for name in names]
