"""Where a store's file lies."""

from pathlib import Path

import pytest

from flue_actors.store import sqlite


async def test_a_relative_path_starts_at_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = sqlite("data/flue.db")
    await store.open()
    await store.close()
    assert (tmp_path / "data" / "flue.db").is_file()


async def test_a_rebased_relative_path_starts_at_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    store = sqlite("data/flue.db")
    store.rebase(root)
    await store.open()
    await store.close()
    assert (root / "data" / "flue.db").is_file()
    assert list(elsewhere.iterdir()) == []
    assert store.description == f"sqlite {root / 'data' / 'flue.db'}"


def test_an_absolute_path_stays_as_it_is(tmp_path: Path) -> None:
    store = sqlite(tmp_path / "flue.db")
    store.rebase(tmp_path / "root")
    assert store.path == tmp_path / "flue.db"


def test_rebasing_twice_is_rebasing_once(tmp_path: Path) -> None:
    store = sqlite("flue.db")
    store.rebase(tmp_path / "first")
    store.rebase(tmp_path / "second")
    assert store.path == tmp_path / "first" / "flue.db"
