"""Which saves `flue-actors dev` notices."""

import asyncio
from pathlib import Path

import pytest
from watchfiles import Change

from flue_actors.gateway.cli.watching import SourceFilter, saved_files


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


async def test_a_save_is_noticed(tmp_path: Path) -> None:
    saves = saved_files(tmp_path)
    first = asyncio.ensure_future(anext(saves))
    async with asyncio.timeout(5):
        while not first.done():  # the watch begins in a thread of its own: save until it has been seen
            (tmp_path / "words.py").write_text("WORD = 'two'\n")
            await asyncio.wait([first], timeout=0.2)
    assert [path.name for path in first.result()] == ["words.py"]
    await saves.aclose()
