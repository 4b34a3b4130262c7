"""The tool ``bash``."""

from pathlib import Path

import pytest

from flue_actors.ids import AgentKey
from flue_actors.sandboxes.local import local
from flue_actors.sandboxes.protocol import SandboxContext
from flue_actors.toolset.shell import bash
from tests.toolset.sandboxes import Desk, desk, done


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (done("out\n", "err\n"), "out\n\nerr"),
        (done("out\n"), "out"),
        (done(), "(no output)"),
        (done("x", exit_code=3), "x\n[exit code 3]"),
        (done("x", exit_code=124, timed_out=True), "x\n[stopped: its time was over; exit code 124]"),
        (done("x", dropped=7), "[7 more bytes were thrown away]\nx"),
    ],
)
async def test_an_answer_is_what_was_printed_and_how_it_ended(result, text: str) -> None:
    answer = await desk(lambda _command: result).call(bash, command="it")
    assert answer.text == text
    assert not answer.is_error
    assert answer.details == {"command": "it", "exitCode": result.exit_code}


async def test_of_a_long_output_the_end_is_shown_and_all_of_it_kept() -> None:
    output = "".join(f"{n}\n" for n in range(5_000))
    at = desk(lambda _command: done(output))
    answer = await at.call(bash, command="seq")
    assert answer.text.startswith("[the last 2000 lines of 5000".replace("2000 lines of 5000", "2000 of 5000 lines"))
    assert answer.text.endswith("\n4999")
    assert "all 23889 bytes are in .flue-output/call_1.txt]" in answer.text
    assert at.sandbox.files["/work/.flue-output/call_1.txt"].decode() == output.strip()


async def test_only_the_last_outputs_are_kept() -> None:
    at = desk(lambda _command: done("x\n" * 5_000))
    for _ in range(25):
        await at.call(bash, command="yes")
    kept = sorted(path for path in at.sandbox.files if path.endswith(".txt"))
    assert len(kept) == 20
    assert kept == sorted(f"/work/.flue-output/call_{n}.txt" for n in range(6, 26))


@pytest.mark.parametrize(("asked", "given"), [({}, 110), ({"timeout": 5}, 5), ({"timeout": 900}, 110)])
async def test_a_command_ends_before_its_tool_call_does(asked: dict[str, float], given: float) -> None:
    at = desk()
    await at.call(bash, command="sleep", **asked)
    assert at.sandbox.commands == [("sleep", given)]


async def test_no_output_is_kept_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / ".flue-output").symlink_to("notes")
    for number in range(25):
        (tmp_path / f"notes/{number}.txt").touch()
    at = Desk(await local(tmp_path).open(SandboxContext(key=AgentKey("tester", "1"))))
    answer = await at.call(bash, command="seq 5000")
    assert answer.text.startswith("[the last 2000 of 5000 lines]")
    assert len(list((tmp_path / "notes").iterdir())) == 25
    await at.sandbox.close()
