"""Every store keeps the contract."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flue_actors.memory import memory_store
from flue_actors.storage import Store
from flue_actors.store import sqlite
from flue_actors.store.contract import CHECKS, Check, Make


def in_memory(_folder: Path) -> Make:
    store = memory_store()
    return lambda: store


def on_disk(folder: Path) -> Make:
    return lambda: sqlite(folder / "flue.db")


def on_disk_relaxed(folder: Path) -> Make:
    def make() -> Store:
        return sqlite(folder / "flue.db", durability="process")

    return make


@pytest.mark.parametrize("kind", [in_memory, on_disk, on_disk_relaxed], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
async def test_store(check: Check, kind: Callable[[Path], Make], tmp_path: Path) -> None:
    await check(kind(tmp_path))
