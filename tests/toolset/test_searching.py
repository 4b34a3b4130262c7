"""The tools ``grep`` and ``glob``."""

import shlex
import time

import pytest

from flue_actors.errors import ToolError
from flue_actors.toolset.searching import find_command, glob, grep, grep_command, matching
from tests.toolset.sandboxes import desk, done

TREE = ["./a.py", "./src/b.py", "./src/deep/er/c.py", "./src/deep/d.ts", "./web/e.js", "./-f.py"]


async def test_matches_are_shown_as_they_come() -> None:
    answer = await desk(lambda _command: done("a:1:x\nb:2:x\n")).call(grep, pattern="x")
    assert answer.text == "a:1:x\nb:2:x"


async def test_a_hundred_matches_at_most_each_of_at_most_five_hundred_bytes() -> None:
    answer = await desk(lambda _command: done(("é" * 300 + "\n") * 150)).call(grep, pattern="é")
    lines = answer.text.split("\n")
    assert len(lines) == 101
    assert lines[0] == "é" * 250 + "..."
    assert lines[-1] == "[the first 100 of 150 matching lines; narrow the pattern or the path]"


async def test_nothing_found_is_no_error_but_a_failure_is() -> None:
    assert (await desk(lambda _command: done(exit_code=1)).call(grep, pattern="x")).text == "No matches."
    with pytest.raises(ToolError, match="unmatched"):
        await desk(lambda _command: done(stderr="grep: unmatched (", exit_code=2)).call(grep, pattern="(")
    with pytest.raises(ToolError, match="too long"):
        await desk(lambda _command: done(exit_code=124, timed_out=True)).call(grep, pattern="x")


@pytest.mark.parametrize("evil", ["-r", "$(touch x)", "'; rm -rf /; '", "`id`", "a b", "--help"])
def test_whatever_is_searched_for_is_one_word_and_no_option(evil: str) -> None:
    words = shlex.split(grep_command(evil, evil, evil, literal=True))
    assert words[words.index("-e") + 1] == evil
    assert words[-2:] == ["--", f"./{evil}" if evil.startswith("-") else evil]
    assert f"--include={evil}" in words


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.py", ["-f.py", "a.py", "src/b.py", "src/deep/er/c.py"]),
        ("src/*.py", ["src/b.py"]),
        ("src/**/*.py", ["src/b.py", "src/deep/er/c.py"]),
        ("**/deep/**/*", ["src/deep/d.ts", "src/deep/er/c.py"]),
        ("src/**", ["src/b.py", "src/deep/d.ts", "src/deep/er/c.py"]),
        ("**/*.{ts,js}", ["src/deep/d.ts", "web/e.js"]),
        ("[ae].*", ["a.py", "web/e.js"]),
        ("?.js", ["web/e.js"]),
        ("*.rs", []),
    ],
)
async def test_a_pattern_means_what_it_means_elsewhere(pattern: str, expected: list[str]) -> None:
    answer = await desk(lambda _command: done("\n".join(TREE))).call(glob, pattern=pattern)
    assert answer.text == ("\n".join(expected) or "No files.")


def test_paths_are_matched_below_the_path_that_was_given() -> None:
    assert matching("*.py", "src", ["src/b.py"]) == ["src/b.py"]
    assert matching("/*.py", "src/", ["src/b.py"]) == []
    assert matching("deep/*.ts", "/w/src", ["/w/src/deep/d.ts"]) == ["/w/src/deep/d.ts"]


def test_no_pattern_takes_long() -> None:
    started = time.perf_counter()
    matching("**/a*" * 50 + "b", ".", ["./" + "a" * 200 + "/aa" * 90])
    matching("*a" * 300 + "b", ".", ["./" + "a" * 255])
    assert time.perf_counter() - started < 1
    with pytest.raises(ToolError, match="alternatives"):
        matching("{a,b}" * 30, ".", [])


async def test_a_thousand_paths_at_most() -> None:
    found = "\n".join(f"./{n:05}" for n in range(1_500))
    lines = (await desk(lambda _command: done(found)).call(glob, pattern="*")).text.split("\n")
    assert lines[999:] == ["00999", "[the first 1000 of 1500 files; narrow the pattern or the path]"]


def test_the_shell_looks_for_the_name_alone_where_it_can() -> None:
    assert "-name '*.py'" in find_command("src/**/*.py", ".")
    assert "-name" not in find_command("**/*.{a,b}", "-x").split()


def test_a_pattern_of_many_parts_is_not_tried_on_a_deep_tree() -> None:
    found = ["a/" * 200 + "a"] * 2_500  # as much as a command's output may be
    started = time.perf_counter()
    with pytest.raises(ToolError, match="too many parts"):
        matching("**/a/" * 100 + "b", ".", found)
    assert matching("**/b", ".", found) == []
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("path", ["(", "!", ",", ")x"])
def test_a_folder_is_no_part_of_what_find_is_to_look_for(path: str) -> None:
    assert shlex.split(find_command("*.py", path))[1] == f"./{path}"
