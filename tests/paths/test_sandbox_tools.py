"""The tools of a sandbox, called by a model that anybody talks to in any way."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from flue_actors import ToolContext, define_agent_profile, isolated, local, tool, virtual
from flue_actors.definition.attaching import content_id
from flue_actors.errors import ToolError
from tests.paths.pictures import PNG, blocks, text64
from tests.paths.scripts import call, one_by_one
from tests.paths.stage import staged
from tests.paths.transports import Outcome, Transport

SANDBOXES: dict[str, Callable[[Path], Any]] = {
    "virtual": lambda _: virtual(),
    "local": lambda folder: local(folder),
    "isolated": lambda _: isolated(),
}

WRITE = call("write", path="notes/a.txt", content="alpha\nbeta $& gamma\n")

PATHS: dict[str, tuple[str, str]] = {
    "write": (WRITE, "Wrote 20 bytes to notes/a.txt."),
    "read": (one_by_one(WRITE, call("read", path="notes/a.txt", offset=2, limit=1)), "beta $& gamma"),
    "edit": (
        one_by_one(
            WRITE,
            call("edit", path="notes/a.txt", oldText="$& gamma", newText="$& delta"),
            call("read", path="notes/a.txt"),
        ),
        "alpha\nbeta $& delta",
    ),
    "bash": (one_by_one(WRITE, call("bash", command="wc -l < notes/a.txt; exit 3")), "3"),
    "grep": (one_by_one(WRITE, call("grep", pattern="^bet", path="notes")), "a.txt:2:beta $& gamma"),
    "glob": (one_by_one(WRITE, call("glob", pattern="**/*.txt")), "notes/a.txt"),
    "missing": (call("read", path="nowhere.txt"), "nowhere.txt"),
}
"""What is said, and what is in the answer of the last tool, which the model repeats."""


@tool
async def spoil(ctx: ToolContext) -> str:
    """Leave something behind and fail."""
    await ctx.sandbox.write("left.txt", b"left behind")
    raise ToolError("it broke")


def sandbox(name: str, folder: Path) -> Any:
    """A sandbox, or none: the test is skipped with the reason."""
    if name == "virtual" and find_spec("bashkit") is None:
        pytest.skip("bashkit is not installed")
    if name == "isolated" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    return SANDBOXES[name](folder)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


async def untold(person: Transport) -> dict[str, Outcome]:
    """What came of those paths whose last tool's answer was not what it should be."""
    heard = {path: await person.say(said) for path, (said, _) in PATHS.items()}
    return {path: outcome for path, outcome in heard.items() if PATHS[path][1] not in outcome.text}


@pytest.mark.parametrize("kind", ["virtual", "local"])
async def test_every_tool_is_called_and_its_answer_comes_back(
    kind: str, model: str, transport: str, tmp_path: Path, workspace: Path
) -> None:
    async with staged(model, tmp_path, sandbox=sandbox(kind, workspace)) as stage, stage.open(transport) as person:
        assert await untold(person) == {}
        assert len(await stage.results()) == sum(said.count("call ") for said, _ in PATHS.values())


@pytest.mark.parametrize("kind", ["virtual", "local"])
async def test_files_are_there_in_the_next_message_after_idle_times_and_a_restart(
    kind: str, model: str, transport: str, tmp_path: Path, workspace: Path
) -> None:
    async with staged(model, tmp_path, sandbox=sandbox(kind, workspace)) as stage:
        async with stage.open(transport) as person:
            await person.say(call("bash", command="echo one > kept.txt"))
            await person.say(call("bash", command="echo two >> kept.txt"))
            await stage.evict()
            after = await person.say(call("bash", command="echo three >> kept.txt; cat kept.txt"))
        await stage.restart()
        async with stage.open(transport) as person:
            at_last = await person.say(call("read", path="kept.txt"))
    assert "one\ntwo\nthree" in after.text
    assert "one\ntwo\nthree" in at_last.text


async def test_the_tools_work_where_nothing_leaves_the_namespace(model: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, sandbox=sandbox("isolated", tmp_path)) as stage:
        async with stage.open("in-process") as person:
            if (await person.say(call("bash", command="true"))).error == "sandbox_error":
                pytest.skip("namespaces cannot be made on this machine")
            assert await untold(person) == {}


@pytest.mark.parametrize("kind", ["virtual", "local"])
async def test_the_model_sees_a_picture_that_it_reads(
    kind: str, model: str, transport: str, tmp_path: Path, workspace: Path
) -> None:
    (workspace / "a.png").write_bytes(PNG)
    box = sandbox("local", workspace) if kind == "local" else virtual(files={"a.png": PNG})
    async with staged(model, tmp_path, sandbox=box) as stage, stage.open(transport) as person:
        outcome = await person.say(call("read", path="a.png"))
        if stage.api is not None:
            (image,) = blocks(stage.api.requests[-1].body, "image")
            assert image["source"]["data"] == text64(PNG)
        assert (await stage.ref.attachment(content_id(PNG))).body == PNG
    assert outcome.error is None


@pytest.mark.parametrize("kind", ["virtual", "local"])
async def test_a_subagent_works_on_the_same_files_in_a_folder_of_its_own(
    kind: str, model: str, transport: str, tmp_path: Path, workspace: Path
) -> None:
    worker = define_agent_profile(name="worker", description="Works.")
    config: dict[str, Any] = {"sandbox": sandbox(kind, workspace), "subagents": [worker]}
    async with staged(model, tmp_path, **config) as stage, stage.open(transport) as person:
        work = call("bash", command="cat given.txt && echo made > made.txt")
        said = one_by_one(
            call("write", path="sub/given.txt", content="given"),
            call("task", agent="worker", prompt=work, cwd="sub"),
            call("bash", command="cat sub/*"),
        )
        outcome = await person.say(said)
    assert "givenmade" in outcome.text


async def test_what_a_failing_tool_left_is_there_after_idle_times_and_a_restart(
    model: str, transport: str, tmp_path: Path
) -> None:
    async with staged(model, tmp_path, sandbox=sandbox("virtual", tmp_path), tools=[spoil]) as stage:
        async with stage.open(transport) as person:
            spoiled = await person.say(call("spoil"))
            await stage.evict()
        await stage.restart()
        async with stage.open(transport) as person:
            outcome = await person.say(call("read", path="left.txt"))
    assert "it broke" in spoiled.text
    assert "left behind" in outcome.text


async def test_a_program_runs_a_command_that_the_model_is_told_of(model: str, tmp_path: Path, workspace: Path) -> None:
    async with staged(model, tmp_path, sandbox=sandbox("local", workspace)) as stage:
        ran = await stage.ref.shell("echo hi; echo no >&2; exit 3")
        await stage.ref.prompt("answer later")
        results = await stage.results()
    assert (ran.stdout, ran.stderr, ran.exit_code) == ("hi\n", "no\n", 3)
    assert "hi" in results[0]


async def test_without_a_sandbox_there_is_no_such_tool(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path) as stage, stage.open(transport) as person:
        outcome = await person.say(call("bash", command="echo hi"))
    assert outcome.error is None
    assert "hi\n" not in outcome.text
    assert "bash" in outcome.text
