"""What every sandbox does. Each function is one behaviour; a test runs it on a fresh sandbox.

For a sandbox of your own: run every one of `BEHAVIOURS`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from flue_actors.errors import SandboxError, SandboxFileError
from flue_actors.sandboxes.protocol import TIMED_OUT, DirEntry, Sandbox, Stream

Behaviour = Callable[[Sandbox], Awaitable[None]]


async def relative_paths_start_at_cwd(sandbox: Sandbox) -> None:
    await sandbox.write("a.txt", b"hi")
    assert sandbox.cwd.startswith("/")
    assert await sandbox.read(f"{sandbox.cwd}/a.txt") == b"hi"
    await sandbox.mkdir("x")
    assert await sandbox.read("./x/../a.txt") == b"hi"


async def bytes_come_back_as_they_were(sandbox: Sandbox) -> None:
    for data in (b"", b"\0\xff\xfe\r\n", bytes(range(256)) * 4_000):
        await sandbox.write("data.bin", data)
        assert await sandbox.read("data.bin") == data


async def a_write_makes_the_directories_above(sandbox: Sandbox) -> None:
    await sandbox.write("a/b/c.txt", b"x")
    assert await sandbox.list("a") == (DirEntry("b", "directory"),)


async def names_with_spaces_and_letters_of_all_kinds_work(sandbox: Sandbox) -> None:
    await sandbox.write("ä ö/ß '$x.txt", b"x")
    assert [entry.name for entry in await sandbox.list("ä ö")] == ["ß '$x.txt"]


async def a_list_is_sorted(sandbox: Sandbox) -> None:
    await sandbox.mkdir("d/sub")
    for name in ("d/b", "d/a", "d/z", "d/C"):
        await sandbox.write(name, b"")
    entries = await sandbox.list("d")
    assert [entry.name for entry in entries] == ["C", "a", "b", "sub", "z"]
    assert {entry.name: entry.kind for entry in entries}["sub"] == "directory"


async def stat_tells_kinds_and_sizes(sandbox: Sandbox) -> None:
    await sandbox.write("f", b"123")
    await sandbox.mkdir("d")
    await sandbox.exec("ln -s f l; ln -s nowhere dangling")
    file, directory = await sandbox.stat("f"), await sandbox.stat("d")
    assert file is not None and (file.kind, file.size) == ("file", 3)
    assert abs(file.modified - time.time()) < 60
    assert directory is not None and directory.kind == "directory"
    for name in ("l", "dangling"):
        link = await sandbox.stat(name)
        assert link is not None and link.kind == "link"
    assert await sandbox.stat("nope") is None
    assert await sandbox.stat("f/below") is None


async def mkdir_makes_those_above_and_does_not_mind_one_that_is_there(sandbox: Sandbox) -> None:
    await sandbox.mkdir("x/y/z")
    await sandbox.mkdir("x/y/z")
    found = await sandbox.stat("x/y/z")
    assert found is not None and found.kind == "directory"


async def a_file_does_not_become_a_directory(sandbox: Sandbox) -> None:
    await sandbox.write("f", b"precious")
    for attempt in (sandbox.mkdir("f"), sandbox.mkdir("f/g"), sandbox.write("f/g", b""), sandbox.list("f")):
        with pytest.raises(SandboxFileError):
            await attempt
    assert await sandbox.read("f") == b"precious"


async def what_is_not_there_is_an_error_that_names_it(sandbox: Sandbox) -> None:
    for attempt in (sandbox.read("nope"), sandbox.list("nope"), sandbox.remove("nope")):
        with pytest.raises(SandboxFileError, match="nope"):
            await attempt


async def a_directory_is_neither_read_nor_written_as_a_file(sandbox: Sandbox) -> None:
    await sandbox.mkdir("d")
    for attempt in (sandbox.read("d"), sandbox.write("d", b"x")):
        with pytest.raises(SandboxFileError):
            await attempt


async def remove_takes_files_links_and_empty_directories(sandbox: Sandbox) -> None:
    await sandbox.write("f", b"x")
    await sandbox.mkdir("d")
    await sandbox.exec("ln -s f l")
    for name in ("l", "d", "f"):
        await sandbox.remove(name)
    assert await sandbox.list(".") == ()


async def remove_takes_a_full_directory_only_when_told_to(sandbox: Sandbox) -> None:
    await sandbox.write("d/e/f", b"x")
    with pytest.raises(SandboxFileError):
        await sandbox.remove("d")
    await sandbox.remove("d", recursive=True)
    assert await sandbox.stat("d") is None


async def removing_a_link_leaves_what_it_points_to(sandbox: Sandbox) -> None:
    await sandbox.write("d/f", b"x")
    await sandbox.exec("ln -s d l")
    await sandbox.remove("l", recursive=True)
    assert await sandbox.read("d/f") == b"x"


async def files_and_shell_see_the_same(sandbox: Sandbox) -> None:
    await sandbox.write("in.txt", b"hello\n")
    result = await sandbox.exec("cat in.txt; tr a-z A-Z < in.txt > out.txt; pwd")
    assert result.stdout.decode() == f"hello\n{sandbox.cwd}\n"
    assert await sandbox.read("out.txt") == b"HELLO\n"


async def a_command_tells_its_outputs_and_exit_code(sandbox: Sandbox) -> None:
    result = await sandbox.exec("printf out; printf err >&2; exit 3")
    assert (result.stdout, result.stderr, result.exit_code) == (b"out", b"err", 3)
    assert not result.timed_out
    assert (await sandbox.exec("true")).exit_code == 0


async def output_is_bytes(sandbox: Sandbox) -> None:
    assert (await sandbox.exec("printf '\\377\\000\\303\\244'")).stdout == b"\xff\0\xc3\xa4"


async def a_command_gets_the_variables_that_were_given(sandbox: Sandbox) -> None:
    result = await sandbox.exec('printf %s "$GREETING"', env={"GREETING": "a 'b' $c"})
    assert result.stdout == b"a 'b' $c"
    assert (await sandbox.exec('printf %s "$GREETING"')).stdout == b""


async def a_command_runs_where_it_was_told_to(sandbox: Sandbox) -> None:
    await sandbox.mkdir("sub/deep")
    assert (await sandbox.exec("pwd", cwd="sub/deep")).stdout.decode().strip() == f"{sandbox.cwd}/sub/deep"
    with pytest.raises(SandboxError):
        await sandbox.exec("pwd", cwd="nope")


async def every_command_is_a_new_shell(sandbox: Sandbox) -> None:
    await sandbox.mkdir("sub")
    await sandbox.exec("cd sub; X=1; export Y=1; f() { echo f; }; set -e")
    result = await sandbox.exec('pwd; printf "%s%s" "$X" "$Y"; f; true')
    assert result.stdout.decode() == f"{sandbox.cwd}\n"


async def a_command_that_takes_too_long_is_stopped(sandbox: Sandbox) -> None:
    started = time.monotonic()
    result = await sandbox.exec("echo begun; sleep 30; echo done", timeout=0.3)
    assert result.timed_out
    assert result.exit_code == TIMED_OUT
    assert result.stdout == b"begun\n"
    assert time.monotonic() - started < 5


async def a_cancelled_command_ends(sandbox: Sandbox) -> None:
    begun = asyncio.Event()
    running = asyncio.ensure_future(
        sandbox.exec("echo begun; sleep 0.2; echo > after", on_output=lambda *_output: begun.set())
    )
    await asyncio.wait_for(begun.wait(), 5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await sandbox.exec("sleep 0.3")
    assert await sandbox.stat("after") is None


async def output_is_told_as_it_comes(sandbox: Sandbox) -> None:
    told: list[tuple[Stream, bytes]] = []
    begun = asyncio.Event()

    def take(stream: Stream, data: bytes) -> None:
        told.append((stream, data))
        begun.set()

    running = asyncio.ensure_future(
        sandbox.exec("echo one; i=0; until [ -e go ]; do sleep 0.02; done; echo two >&2", on_output=take, timeout=10)
    )
    await asyncio.wait_for(begun.wait(), 5)
    assert told == [("stdout", b"one\n")]
    await sandbox.write("go", b"")
    assert (await running).stderr == b"two\n"
    assert told[-1] == ("stderr", b"two\n")


async def commands_and_files_overlap(sandbox: Sandbox) -> None:
    started = time.monotonic()
    results = await asyncio.gather(*(sandbox.exec(f"sleep 0.3; echo {n} > f{n}; cat f{n}") for n in range(5)))
    assert [result.stdout for result in results] == [f"{n}\n".encode() for n in range(5)]
    assert time.monotonic() - started < 1.4


async def a_command_that_cannot_be_understood_fails(sandbox: Sandbox) -> None:
    result = await sandbox.exec("if (")
    assert result.exit_code != 0
    assert result.stderr


async def closing_twice_is_fine_and_ends_what_runs(sandbox: Sandbox) -> None:
    begun = asyncio.Event()
    command = sandbox.exec("echo begun; sleep 30", on_output=lambda *_output: begun.set())
    running = asyncio.ensure_future(command)
    await asyncio.wait_for(begun.wait(), 5)
    await sandbox.close()
    await sandbox.close()
    async with asyncio.timeout(5):
        await asyncio.wait({running})
    assert running.done()
    if not running.cancelled():
        running.exception()


BEHAVIOURS: Final[tuple[Behaviour, ...]] = (
    relative_paths_start_at_cwd,
    bytes_come_back_as_they_were,
    a_write_makes_the_directories_above,
    names_with_spaces_and_letters_of_all_kinds_work,
    a_list_is_sorted,
    stat_tells_kinds_and_sizes,
    mkdir_makes_those_above_and_does_not_mind_one_that_is_there,
    a_file_does_not_become_a_directory,
    what_is_not_there_is_an_error_that_names_it,
    a_directory_is_neither_read_nor_written_as_a_file,
    remove_takes_files_links_and_empty_directories,
    remove_takes_a_full_directory_only_when_told_to,
    removing_a_link_leaves_what_it_points_to,
    files_and_shell_see_the_same,
    a_command_tells_its_outputs_and_exit_code,
    output_is_bytes,
    a_command_gets_the_variables_that_were_given,
    a_command_runs_where_it_was_told_to,
    every_command_is_a_new_shell,
    a_command_that_takes_too_long_is_stopped,
    a_cancelled_command_ends,
    output_is_told_as_it_comes,
    commands_and_files_overlap,
    a_command_that_cannot_be_understood_fails,
    closing_twice_is_fine_and_ends_what_runs,
)
