"""What `flue-actors dev` does with a saved file."""

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchfiles import Change

from flue_actors.gateway.cli.reload import SourceFilter, import_anew, modules_below, saved_files


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "reloaded_words.py").write_text("WORD = 'one'\n")
    package = tmp_path / "reloaded_agents"
    package.mkdir()
    (package / "teller.py").write_text("from reloaded_words import WORD\n")
    yield tmp_path
    for name in modules_below(tmp_path):
        del sys.modules[name]


def word() -> str:
    return importlib.import_module("reloaded_agents.teller").WORD


def test_a_change_is_taken_up_through_the_modules_that_import_it(project: Path) -> None:
    assert word() == "one"
    (project / "reloaded_words.py").write_text("WORD = 'two'\n")
    assert word() == "one"
    assert import_anew(project, word) == "two"


def test_after_an_error_the_modules_are_those_of_before(project: Path) -> None:
    word()
    before = modules_below(project)
    (project / "reloaded_words.py").write_text("WORD = 'two'\n")
    (project / "reloaded_agents" / "teller.py").write_text("from reloaded_words import WORD, NOTHING\n")
    with pytest.raises(ImportError):
        import_anew(project, word)
    assert modules_below(project) == before
    assert word() == "one"


def test_only_the_projects_own_modules_are_forgotten(project: Path) -> None:
    word()
    assert set(modules_below(project)) == {"reloaded_words", "reloaded_agents", "reloaded_agents.teller"}


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("agents/joke_teller.py", True),
        ("prompts/joke.md", True),
        ("data/flue.db-wal", False),
        (".venv/lib/python3.11/site-packages/x.py", False),
        ("agents/__pycache__/joke_teller.cpython-311.pyc", False),
        ("agents/.joke_teller.py.swp", False),
    ],
)
def test_which_saves_count(tmp_path: Path, path: str, counts: bool) -> None:
    assert SourceFilter()(Change.modified, str(tmp_path / path)) is counts


async def test_a_save_is_seen_within_a_second(project: Path) -> None:
    saves = saved_files(project)
    first = asyncio.ensure_future(anext(saves))
    async with asyncio.timeout(5):
        while not first.done():  # the watch begins in a thread of its own: save until it has been seen
            (project / "reloaded_words.py").write_text("WORD = 'two'\n")
            await asyncio.wait([first], timeout=0.2)
    assert [path.name for path in first.result()] == ["reloaded_words.py"]
    await saves.aclose()
