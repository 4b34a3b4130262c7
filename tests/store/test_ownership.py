"""One owner per file."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flue_actors.errors import StoreOwnedError
from flue_actors.store import sqlite

OPEN_AND_WAIT = """
import asyncio, sys
from flue_actors.store import sqlite

async def main():
    await sqlite(sys.argv[1]).open()
    print("open", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "flue.db"
    other = subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_WAIT, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StoreOwnedError) as refusal:
            asyncio.run(open_and_close(path))
        assert "flue.db" not in refusal.value.message + refusal.value.details
        assert f"process {other.pid}" in refusal.value.dev
    finally:
        other.kill()
        other.communicate()
    asyncio.run(open_and_close(path))


async def test_a_second_store_of_the_same_process_is_refused(tmp_path: Path) -> None:
    first = sqlite(tmp_path / "flue.db")
    await first.open()
    with pytest.raises(StoreOwnedError):
        await sqlite(tmp_path / "flue.db").open()
    await first.close()
    await open_and_close(tmp_path / "flue.db")


async def test_another_name_of_the_same_file_is_refused(tmp_path: Path) -> None:
    first = sqlite(tmp_path / "flue.db")
    await first.open()
    os.symlink(tmp_path / "flue.db", tmp_path / "link.db")
    with pytest.raises(StoreOwnedError):
        await sqlite(tmp_path / "link.db").open()
    await first.close()


async def test_opening_an_open_store_is_refused_and_leaves_it_working(tmp_path: Path) -> None:
    store = sqlite(tmp_path / "flue.db")
    await store.open()
    with pytest.raises(StoreOwnedError):
        await store.open()
    assert await store.unsettled() == []
    await store.close()


async def test_a_refused_file_is_not_owned_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "flue.db"
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(Exception, match="damaged"):
        await sqlite(path).open()
    path.unlink()
    await open_and_close(path)


async def open_and_close(path: Path) -> None:
    store = sqlite(path)
    await store.open()
    await store.close()
