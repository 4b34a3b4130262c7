"""The tools on real sandboxes: what they ask the shell for, every shell does."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flue_actors.errors import ToolError
from flue_actors.ids import AgentKey
from flue_actors.sandboxes.local import local
from flue_actors.sandboxes.protocol import SandboxContext, SandboxFactory
from flue_actors.sandboxes.virtual import virtual
from flue_actors.toolset.reading import read
from flue_actors.toolset.sandbox_tools import SANDBOX_TOOLS
from flue_actors.toolset.searching import glob, grep
from flue_actors.toolset.shell import bash
from flue_actors.toolset.writing import edit, write
from tests.toolset.sandboxes import Desk


@pytest.fixture(params=["virtual", "local"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    factory: SandboxFactory = virtual() if request.param == "virtual" else local(tmp_path)
    sandbox = await factory.open(SandboxContext(key=AgentKey("tester", "1")))
    desk = Desk(sandbox)
    for path, text in {"a.py": "def one():\n", "src/b.py": "x = (1)\n", "src/deep/c.ts": "one $& -e two\n"}.items():
        await desk.call(write, path=path, content=text)
    yield desk
    await sandbox.close()


async def test_grep_finds_expressions_below_a_path(desk: Desk) -> None:
    assert sorted((await desk.call(grep, pattern="(one|two)")).text.split("\n")) == [
        "./a.py:1:def one():",
        "./src/deep/c.ts:1:one $& -e two",
    ]
    assert (await desk.call(grep, pattern="one", path="src", include="*.ts")).text.startswith("src/deep/c.ts:1:")
    assert (await desk.call(grep, pattern="one", include="*.rs")).text == "No matches."


@pytest.mark.parametrize("pattern", ["-e two", "$& -", "(1)"])
async def test_grep_takes_plain_text_as_it_is(desk: Desk, pattern: str) -> None:
    assert len((await desk.call(grep, pattern=pattern, literal=True)).text.split("\n")) == 1
    assert "No matches" not in (await desk.call(grep, pattern=pattern, literal=True)).text


async def test_grep_tells_what_is_wrong_with_an_expression_or_a_path(desk: Desk) -> None:
    with pytest.raises(ToolError, match=r"(?i)unmatched|unclosed|regex|invalid"):
        await desk.call(grep, pattern="(")
    with pytest.raises(ToolError, match="nowhere"):
        await desk.call(grep, pattern="x", path="nowhere")


async def test_glob_finds_files_by_name(desk: Desk) -> None:
    assert (await desk.call(glob, pattern="*.py")).text == "a.py\nsrc/b.py"
    assert (await desk.call(glob, pattern="src/**/*")).text == "src/b.py\nsrc/deep/c.ts"
    assert (await desk.call(glob, pattern="**/*.{py,ts}", path="src")).text == "src/b.py\nsrc/deep/c.ts"
    assert (await desk.call(glob, pattern="*.rs")).text == "No files."
    with pytest.raises(ToolError, match="nowhere"):
        await desk.call(glob, pattern="*", path="nowhere")


async def test_what_was_cut_can_be_read_and_is_not_searched(desk: Desk) -> None:
    answer = await desk.call(bash, command="seq 1 5000")
    assert answer.text.endswith("\n5000")
    path = answer.text.partition(" are in ")[2].partition("]")[0]
    assert (await desk.call(read, path=path)).text.startswith("1\n2\n3\n")
    assert (await desk.call(grep, pattern="^4321$")).text == "No matches."
    assert ".flue-output" not in (await desk.call(glob, pattern="**/*.txt")).text


async def test_a_command_that_takes_too_long_is_an_answer(desk: Desk) -> None:
    answer = await desk.call(bash, command="echo begun; sleep 60", timeout=0.2)
    assert answer.text == "begun\n[stopped: its time was over; exit code 124]"
    assert answer.details["exitCode"] == 124


async def test_files_go_round(desk: Desk) -> None:
    await desk.call(edit, path="a.py", oldText="one", newText="$&")
    assert (await desk.call(bash, command="cat a.py; exit 2")).text == "def $&():\n[exit code 2]"
    assert (await desk.call(read, path="src")).text == "b.py\ndeep/"


def test_the_tools_are_sorted_by_name() -> None:
    assert [tool.name for tool in SANDBOX_TOOLS] == ["bash", "edit", "glob", "grep", "read", "write"]
