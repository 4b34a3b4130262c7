"""No path, and no change of the tree while a path is walked, leads file methods out of the workspace."""

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flue_actors.errors import SandboxFileError
from flue_actors.sandboxes.confined import ConfinedFiles

SWAP = """
import ctypes, sys
exchange, (turn, link) = ctypes.CDLL(None).renameat2, map(str.encode, sys.argv[1:])
AT_FDCWD, RENAME_EXCHANGE = -100, 2
while exchange(AT_FDCWD, turn, AT_FDCWD, link, RENAME_EXCHANGE) == 0:
    pass
"""

SECRET = b"canary-5f1c"
PARTS = [
    *(
        "",
        ".",
        "..",
        "~",
        "dir",
        "file",
        "deep",
        "new",
        "secret",
        "outside",
        "workspace",
        "box",
        "proc",
        "self",
        "root",
    ),
    *("in_dir", "in_file", "in_absolute", "out_dir", "out_file", "out_dots", "out_dangling", "loop_a", "via_proc"),
    *("hard", "etc", "passwd", "a\0b", "n" * 300, "\udcff", "*", "$HOME", "..."),
]
LINKS = {
    "in_dir": "dir/deep",
    "in_file": "dir/file",
    "in_absolute": "/workspace/dir",
    "out_dir": "../outside",
    "out_file": "../outside/secret",
    "out_dots": "dir/../../outside",
    "out_dangling": "../outside/new",
    "loop_a": "loop_b",
    "loop_b": "loop_a",
    "via_proc": "/proc/self/cwd",
}

paths = st.builds(
    lambda lead, parts, trail: lead + "/".join(parts) + trail,
    st.sampled_from(["", "/", "/workspace/", "//", "/proc/self/root/", "{base}/", "{base}/workspace/"]),
    st.lists(st.sampled_from(PARTS), max_size=6),
    st.sampled_from(["", "/", "/."]),
)
calls = st.lists(st.tuples(st.sampled_from(["read", "write", "stat", "list", "mkdir", "remove"]), paths), max_size=8)


@contextmanager
def planted() -> Iterator[Path]:
    """A workspace full of links beside a folder with a secret."""
    with TemporaryDirectory() as name:
        base = Path(name)
        (base / "outside").mkdir()
        (base / "outside/secret").write_bytes(SECRET)
        (base / "outside/shared").write_bytes(b"shared")
        (base / "workspace/dir/deep").mkdir(parents=True)
        (base / "workspace/dir/file").write_bytes(b"inside")
        os.link(base / "outside/shared", base / "workspace/hard")
        for link, target in LINKS.items():
            (base / "workspace" / link).symlink_to(target)
        (base / "workspace/dir/up").symlink_to(base / "outside")
        yield base


def content(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


async def attempt(files: ConfinedFiles, call: str, path: str) -> None:
    with suppress(SandboxFileError):
        match call:
            case "read":
                assert SECRET not in await files.read(path)
            case "write":
                await files.write(path, b"planted")
            case "stat":
                await files.stat(path)
            case "list":
                assert "shared" not in {entry.name for entry in await files.list(path)}
            case "mkdir":
                await files.mkdir(path)
            case _:
                await files.remove(path, recursive=True)


@given(calls)
@settings(max_examples=150, deadline=None)
def test_no_sequence_of_calls_reads_or_changes_anything_outside(sequence: list[tuple[str, str]]) -> None:
    with planted() as base:
        before = content(base / "outside")
        files = ConfinedFiles(str(base / "workspace"), shown="/workspace")

        async def run() -> None:
            for call, path in sequence:
                await attempt(files, call, path.replace("{base}", str(base)))

        asyncio.run(run())
        assert content(base / "outside") == before
        assert sorted(os.listdir(base)) == ["outside", "workspace"]


@contextmanager
def swapping(base: Path) -> Iterator[None]:
    """While this is open, ``workspace/turn`` is now a directory, now a link to the outside, as fast as can be."""
    turn, link = base / "workspace/turn", base / "workspace/link"
    turn.mkdir()
    (turn / "secret").write_bytes(b"harmless")
    link.symlink_to("../outside")
    # A process of its own: a thread would take turns with the walk it shall race.
    with subprocess.Popen([sys.executable, "-c", SWAP, turn, link]) as process:
        try:
            yield
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="two names are exchanged in one step by a call of Linux")
async def test_a_directory_that_becomes_a_link_under_way_is_no_way_out() -> None:
    with planted() as base:
        before = content(base / "outside")
        files = ConfinedFiles(str(base / "workspace"), shown="/workspace")
        harmless = refused = 0
        with swapping(base):
            number = 0
            while number < 1_000 or not (harmless and refused):
                number += 1
                try:
                    assert await files.read("turn/secret") == b"harmless"
                    harmless += 1
                except SandboxFileError:
                    refused += 1
                for call in ("write", "mkdir", "remove"):
                    await attempt(files, call, f"turn/new{number}")
                with suppress(SandboxFileError):
                    assert "shared" not in {entry.name for entry in await files.list("turn")}
        assert content(base / "outside") == before


def a_link(path: Path) -> None:
    path.symlink_to("../outside/secret")


@pytest.mark.skipif(sys.platform != "linux", reason="two names are exchanged in one step by a call of Linux")
@pytest.mark.parametrize("make", [a_link, os.mkfifo])
async def test_a_file_that_becomes_a_link_or_a_pipe_under_way_is_neither_followed_nor_waited_for(
    make: Callable[[Path], None],
) -> None:
    with planted() as base:
        files = ConfinedFiles(str(base / "workspace"), shown="/workspace")
        turn, other = base / "workspace/turn", base / "workspace/other"
        turn.write_bytes(b"harmless")
        make(other)
        harmless = refused = 0
        with subprocess.Popen([sys.executable, "-c", SWAP, turn, other]) as process:
            try:
                while harmless + refused < 2_000 or not (harmless and refused):
                    try:
                        async with asyncio.timeout(5):
                            assert await files.read("turn") == b"harmless"
                        harmless += 1
                    except SandboxFileError:
                        refused += 1
            finally:
                process.kill()
                if not other.is_symlink():  # whoever waits for it is let go
                    with suppress(OSError):
                        os.close(
                            os.open(other if stat.S_ISFIFO(other.stat().st_mode) else turn, os.O_WRONLY | os.O_NONBLOCK)
                        )
