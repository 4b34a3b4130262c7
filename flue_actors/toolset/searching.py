"""The tools ``grep`` and ``glob``: what is in files, and which files there are. Both ask the sandbox's shell."""

import asyncio
import fnmatch
import posixpath
import re
import shlex
from typing import Annotated, Final

import msgspec

from flue_actors.definition.tools import ToolAnswer, ToolContext, tool
from flue_actors.errors import ToolError
from flue_actors.sandboxes.protocol import ExecResult
from flue_actors.toolset.shell import LONGEST
from flue_actors.toolset.spilling import FOLDER
from flue_actors.toolset.truncation import clipped

MATCHES: Final = 100
LINE: Final = 500
"""Bytes that are shown of a matching line."""

PATHS: Final = 1_000
_LONGEST_PATTERN: Final = 1_000
_ERROR: Final = 1_000
_MOST_ALTERNATIVES: Final = 100
_MOST_COMPARED: Final = 10_000_000
"""Names of all paths times names in the pattern: 2.3 s, in a thread that nobody can stop."""

_BRACES: Final = re.compile(r"\{([^{}]*)\}")

_Where = Annotated[str, msgspec.Meta(description="Where to look; default: the working directory.")]


@tool(idempotent=True)
async def grep(
    pattern: Annotated[str, msgspec.Meta(min_length=1, description="An extended regular expression.")],
    context: ToolContext,
    path: _Where = ".",
    include: Annotated[str, msgspec.Meta(description='Only files with such a name, as "*.py".')] | None = None,
    literal: Annotated[bool, msgspec.Meta(description="The pattern is plain text.")] = False,
) -> ToolAnswer:
    """Search files for lines that match, directories with everything below. Shows path:line:text, at most 100 lines."""
    result = await context.sandbox.exec(grep_command(pattern, path, include, literal=literal), timeout=LONGEST)
    lines = _lines(result)
    if not lines:
        _refuse(result, "grep", nothing=1)
        return ToolAnswer(text="No matches.", details={"matches": 0})
    shown = [clipped(line, LINE) for line in lines[:MATCHES]]
    if len(lines) > MATCHES:
        shown.append(f"[the first {MATCHES} of {_count(lines, result)} matching lines; narrow the pattern or the path]")
    return ToolAnswer(text="\n".join(shown), details={"matches": len(lines)})


@tool(idempotent=True)
async def glob(
    pattern: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=_LONGEST_PATTERN,
            description='As "*.py" (a name, in any directory), "src/**/*.ts" or "**/*.{js,css}".',
        ),
    ],
    context: ToolContext,
    path: _Where = ".",
) -> ToolAnswer:
    """Find files by their names. Shows at most 1000 paths, sorted."""
    result = await context.sandbox.exec(find_command(pattern, path), timeout=LONGEST)
    found = _lines(result)
    if not found:
        _refuse(result, "find", nothing=0)
    paths = await asyncio.to_thread(matching, pattern, path, found)
    shown = paths[:PATHS]
    if len(paths) > PATHS:
        shown.append(f"[the first {PATHS} of {_count(paths, result)} files; narrow the pattern or the path]")
    return ToolAnswer(text="\n".join(shown) or "No files.", details={"files": len(paths)})


def grep_command(pattern: str, path: str, include: str | None, *, literal: bool) -> str:
    """The shell command of a search. Pure."""
    words = ["grep", "-rnIF" if literal else "-rnIE", f"--exclude-dir={FOLDER}", "--exclude-dir=.git"]
    if include is not None:
        words.append(f"--include={include}")
    return shlex.join([*words, "-e", pattern, "--", _operand(path)])


def find_command(pattern: str, path: str) -> str:
    """The shell command that lists at least what the pattern means. Pure."""
    name = posixpath.basename(pattern)
    words = ["find", _operand(path), "-type", "f", "-not", "-path", f"*/{FOLDER}/*", "-not", "-path", "*/.git/*"]
    if "**" not in name and not set("{}") & set(pattern):
        words += ["-name", name]
    return shlex.join(words)


def matching(pattern: str, path: str, found: list[str]) -> list[str]:
    """Those of the paths below ``path`` that the pattern means, sorted and without a leading ``./``. Pure.

    Raises:
        ToolError: The pattern has too many alternatives in braces, or too many parts for so many paths.
    """
    if "/" not in pattern:
        pattern = f"**/{pattern}"
    wanted = [_segments(one) for one in _alternatives(pattern.removeprefix("./"))]
    base = _operand(path).rstrip("/") + "/"
    named = [one.removeprefix(base).lstrip("/").split("/") for one in found]
    if sum(map(len, named)) * sum(map(len, wanted)) > _MOST_COMPARED:
        raise ToolError("The pattern has too many parts for so many files; narrow the pattern or the path.")
    return sorted(one.removeprefix("./") for one, names in zip(found, named, strict=True) if _fits(wanted, names))


Segments = list["re.Pattern[str] | None"]
"""What every name of a path has to be; None: any number of any names."""


def _alternatives(pattern: str) -> list[str]:
    """A pattern with braces as those without that it stands for."""
    waiting, done = [pattern], list[str]()
    while waiting:
        one = waiting.pop()
        braces = _BRACES.search(one)
        if braces is None:
            done.append(one)
            continue
        waiting += [one[: braces.start()] + choice + one[braces.end() :] for choice in braces[1].split(",")]
        if len(waiting) + len(done) > _MOST_ALTERNATIVES:
            raise ToolError("The pattern has too many alternatives in braces.")
    return done


def _segments(pattern: str) -> Segments:
    return [None if name == "**" else re.compile(fnmatch.translate(name)) for name in pattern.split("/")]


def _fits(wanted: list[Segments], names: list[str]) -> bool:
    return any(_reaches_end(segments, names) for segments in wanted)


def _reaches_end(segments: Segments, names: list[str]) -> bool:
    """All ways through the pattern at once: its cost is names times segments, whatever the pattern."""
    at = _skipping(segments, {0})
    for name in names:
        after: set[int] = set()
        for index in at:
            if index < len(segments):
                segment = segments[index]
                if segment is None:
                    after.add(index)
                elif segment.match(name):
                    after.add(index + 1)
        at = _skipping(segments, after)
    return len(segments) in at


def _skipping(segments: Segments, at: set[int]) -> set[int]:
    """Those places, and where "any number of names" may stand for none."""
    reached = set(at)
    for index, segment in enumerate(segments):
        if segment is None and index in reached:
            reached.add(index + 1)
    return reached


def _operand(path: str) -> str:
    """A path that no command takes for an option, or `find` for a part of its expression."""
    return f"./{path}" if path.startswith(("-", "(", ")", "!", ",")) else path


def _lines(result: ExecResult) -> list[str]:
    return [line for line in result.stdout.decode(errors="replace").split("\n") if line]


def _count(lines: list[str], result: ExecResult) -> str:
    return f"more than {len(lines)}" if result.dropped or result.timed_out else str(len(lines))


def _refuse(result: ExecResult, what: str, *, nothing: int) -> None:
    """Raise unless an empty answer means that there is nothing."""
    if result.timed_out:
        raise ToolError(f"{what} took too long; narrow the path.")
    if result.exit_code > nothing:
        said = clipped(result.stderr.decode(errors="replace").strip(), _ERROR)
        raise ToolError(said or f"{what} failed with exit code {result.exit_code}.")
