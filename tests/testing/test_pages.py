"""The pages on testing and evaluating: their blocks are a test file and a program, and do what the pages say."""

import asyncio
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.messages_api import messages_server
from tests.quality import markdown
from tests.quality.repository import ROOT

NOBODY = "http://127.0.0.1:9"


def program(page: str, language: str) -> str:
    """The page's blocks in this language, as one file."""
    return "\n\n".join([block.text for block in markdown.blocks(ROOT / "docs" / page) if block.language == language])


async def ran(folder: Path, *arguments: str, api: str = NOBODY, **env: str) -> str:
    """What a Python process says, with this Messages API as Anthropic's."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=folder,
        env=os.environ | {"ANTHROPIC_BASE_URL": api, "ANTHROPIC_API_KEY": "only-for-this-test"} | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    return (await process.communicate())[0].decode()


@pytest.fixture
def tests_of_the_page(tmp_path: Path) -> Path:
    (tmp_path / "test_page.py").write_text(program("testing.md", "python"))
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    return tmp_path


async def test_the_tests_of_the_page_pass_and_its_recording_is_replayed_without_a_network(
    tests_of_the_page: Path,
) -> None:
    pytest_ = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
    async with messages_server() as server:
        recorded = await ran(tests_of_the_page, *pytest_, "-k", "really_said", api=server.url, FLUE_RECORD="1")
        asked = len(server.requests)
    replayed = await ran(tests_of_the_page, *pytest_)
    assert "1 passed" in recorded, recorded
    assert asked == 1
    assert " passed" in replayed, replayed
    assert "failed" not in replayed, replayed
    assert "only-for-this-test" not in (tests_of_the_page / "cassettes" / "umbrella.jsonl").read_text()


async def test_a_question_that_was_not_recorded_fails_with_the_words_of_the_page(tests_of_the_page: Path) -> None:
    pytest_ = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "really_said")
    async with messages_server() as server:
        await ran(tests_of_the_page, *pytest_, api=server.url, FLUE_RECORD="1")
    file = tests_of_the_page / "test_page.py"
    file.write_text(file.read_text().replace("umbrella in Bergen?", "umbrella in Rome?"))
    said = await ran(tests_of_the_page, *pytest_)
    for line in program("testing.md", "text").splitlines():
        assert line in said


@pytest.mark.skipif(find_spec("pydantic_evals") is None, reason="needs pydantic-evals: make test-evals")
async def test_the_evaluation_of_the_page_scores_the_same_live_and_replayed(tmp_path: Path) -> None:
    (tmp_path / "capitals.py").write_text(program("evals.md", "py"))
    async with messages_server() as server:
        live = await ran(tmp_path, "capitals.py", api=server.url, FLUE_RECORD="1")
    again = await ran(tmp_path, "capitals.py")
    assert live.splitlines()[-1] == again.splitlines()[-1] == "0.5", live + again
