"""A killed process loses nothing that was acknowledged."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from flue_actors.ids import AgentKey
from flue_actors.store import sqlite
from flue_actors.store.schema import Durability

WRITE_FOR_EVER = """
import asyncio, sys
from flue_actors.ids import AgentKey
from flue_actors.storage import Append, Entry
from flue_actors.store import sqlite

async def write(store, fence, task):
    for seq in range(1, 1_000_000):
        entry = Entry(seq=seq, kind="message", at=seq, body=b"x" * 200)
        await store.commit(fence, Append(key=AgentKey("a", str(task)), session="default", entries=(entry,)))
        print(task, seq, flush=True)

async def main():
    store = sqlite(sys.argv[1], durability=sys.argv[2])
    fence = await store.open()
    await asyncio.gather(*(write(store, fence, task) for task in range(50)))

asyncio.run(main())
"""


@pytest.mark.parametrize("durability", get_args(Durability))
async def test_kill_9_loses_no_acknowledged_commit(durability: Durability, tmp_path: Path) -> None:
    path = tmp_path / "flue.db"
    writing = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(path), durability], stdout=subprocess.PIPE, text=True
    )
    assert writing.stdout is not None
    acknowledged = [writing.stdout.readline() for _ in range(5_000)]
    writing.kill()
    acknowledged += writing.stdout.readlines()
    writing.communicate()
    newest: dict[int, int] = {}
    for line in acknowledged:
        if line.endswith("\n"):
            task, seq = map(int, line.split())
            newest[task] = seq

    store = sqlite(path)
    await store.open()
    for task, seq in newest.items():
        stored = await store.entries(AgentKey("a", str(task)), "default")
        assert [entry.seq for entry in stored] == list(range(1, len(stored) + 1))
        assert len(stored) >= seq
    await store.close()
