"""File methods of a folder of the host: what they do, and what they refuse."""

import asyncio
import os
import resource
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from flue_actors.errors import SandboxFileError
from flue_actors.sandboxes import confined
from flue_actors.sandboxes.confined import ConfinedFiles
from flue_actors.sandboxes.protocol import DirEntry
from tests.sandboxes.conftest import make_deep


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def files(folder: Path) -> ConfinedFiles:
    return ConfinedFiles(str(folder), shown="/workspace")


async def test_a_written_file_is_read_again_by_both_its_paths(files: ConfinedFiles) -> None:
    await files.write("a/b/note.txt", b"hello")
    assert await files.read("a/b/note.txt") == b"hello"
    assert await files.read("/workspace/a/./b/../b//note.txt") == b"hello"


async def test_a_path_may_leave_the_workspace_by_name_and_come_back(files: ConfinedFiles) -> None:
    await files.write("note.txt", b"hello")
    assert await files.read("../workspace/note.txt") == b"hello"


@pytest.mark.parametrize(
    "path", ["..", "../project/x", "/etc/passwd", "a/../../x", "/", "/workspace/..", "/workspaces/x"]
)
async def test_a_path_that_leads_outside_is_refused_by_every_method(files: ConfinedFiles, path: str) -> None:
    await files.mkdir("a")
    for call in (
        files.read(path),
        files.write(path, b""),
        files.stat(path),
        files.list(path),
        files.mkdir(path),
        files.remove(path, recursive=True),
        files.directory(path),
    ):
        with pytest.raises(SandboxFileError, match="outside of the workspace"):
            await call


async def test_links_that_stay_inside_are_followed(files: ConfinedFiles, folder: Path) -> None:
    await files.write("real/note.txt", b"hello")
    (folder / "relative").symlink_to("real")
    (folder / "real/absolute").symlink_to("/workspace/real/note.txt")
    assert await files.read("relative/absolute") == b"hello"
    assert await files.directory("relative") == "/workspace/real"


async def test_a_file_written_through_a_link_is_the_one_it_points_to(files: ConfinedFiles, folder: Path) -> None:
    await files.write("real.txt", b"old")
    (folder / "link").symlink_to("real.txt")
    await files.write("link", b"new")
    assert (folder / "link").is_symlink()
    assert (folder / "real.txt").read_bytes() == b"new"


@pytest.mark.parametrize(
    "target", ["{outside}", "../secret", "sub/../../secret", "/proc/self/root{outside}", "missing/../../secret"]
)
async def test_links_that_leave_are_not_followed(files: ConfinedFiles, folder: Path, target: str) -> None:
    outside = folder.parent / "secret"
    outside.write_bytes(b"secret")
    (folder / "sub").mkdir()
    (folder / "link").symlink_to(target.format(outside=outside))
    with pytest.raises(SandboxFileError):
        await files.read("link")
    with pytest.raises(SandboxFileError):
        await files.write("link", b"planted")
    assert outside.read_bytes() == b"secret"


async def test_a_dangling_link_that_leaves_makes_nothing_outside(files: ConfinedFiles, folder: Path) -> None:
    (folder / "link").symlink_to("../planted")
    with pytest.raises(SandboxFileError):
        await files.write("link", b"planted")
    with pytest.raises(SandboxFileError):
        await files.mkdir("link/deep")
    assert not (folder.parent / "planted").exists()


async def test_a_loop_of_links_ends(files: ConfinedFiles, folder: Path) -> None:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    with pytest.raises(SandboxFileError, match="symbolic links"):
        await files.read("a")


async def test_links_that_multiply_each_other_end(files: ConfinedFiles, folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "l0").symlink_to("d/../" * 800)
    for number in range(1, 30):
        (folder / f"l{number}").symlink_to(f"l{number - 1}/" * 2)
    with pytest.raises(SandboxFileError):
        await files.read("l29/x")


async def test_a_write_leaves_the_other_names_of_a_file_alone(files: ConfinedFiles, folder: Path) -> None:
    shared = folder.parent / "shared"
    shared.write_bytes(b"theirs")
    os.link(shared, folder / "linked")
    await files.write("linked", b"ours")
    assert shared.read_bytes() == b"theirs"
    assert await files.read("linked") == b"ours"


async def test_a_write_keeps_the_permissions_but_no_set_uid(files: ConfinedFiles, folder: Path) -> None:
    await files.write("run.sh", b"#!/bin/sh")
    (folder / "run.sh").chmod(0o4750)
    await files.write("run.sh", b"#!/bin/bash")
    assert (folder / "run.sh").stat().st_mode & 0o7777 == 0o750


async def test_a_write_that_fails_leaves_nothing_behind(files: ConfinedFiles, folder: Path) -> None:
    (folder / "directory").mkdir()
    with pytest.raises(SandboxFileError, match="directory"):
        await files.write("directory", b"x")
    assert os.listdir(folder) == ["directory"]


async def test_what_is_no_regular_file_is_neither_read_nor_written(files: ConfinedFiles, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "socket"))
    server.close()
    for path in ("pipe", "socket"):
        with pytest.raises(SandboxFileError, match="not a regular file"):
            await files.read(path)
        with pytest.raises(SandboxFileError, match="not a regular file"):
            await files.write(path, b"x")
        found = await files.stat(path)
        assert found is not None and found.kind == "other"


async def test_stat_tells_of_the_path_itself(files: ConfinedFiles, folder: Path) -> None:
    await files.write("file", b"12345")
    (folder / "link").symlink_to("/etc/passwd")
    file, link, root = await files.stat("file"), await files.stat("link"), await files.stat(".")
    assert file is not None and (file.kind, file.size) == ("file", 5)
    assert link is not None and link.kind == "link"
    assert root is not None and root.kind == "directory"
    assert await files.stat("missing") is None
    assert await files.stat("missing/deeper") is None
    assert await files.stat("file/deeper") is None


async def test_names_in_a_directory_are_sorted_and_told_apart(files: ConfinedFiles, folder: Path) -> None:
    await files.write("b", b"")
    await files.mkdir("c")
    (folder / "a").symlink_to("nowhere")
    (folder / os.fsdecode(b"d\xff")).touch()
    assert await files.list(".") == (
        DirEntry("a", "link"),
        DirEntry("b", "file"),
        DirEntry("c", "directory"),
        DirEntry("d�", "file"),
    )


async def test_a_directory_that_is_there_may_be_made_again(files: ConfinedFiles) -> None:
    await files.mkdir("a/b")
    await files.mkdir("a/b")
    await files.write("file", b"")
    with pytest.raises(SandboxFileError):
        await files.mkdir("file")


async def test_remove_takes_a_link_and_not_what_it_points_to(files: ConfinedFiles, folder: Path) -> None:
    outside = folder.parent / "theirs"
    outside.mkdir()
    (outside / "file").touch()
    await files.mkdir("tree")
    (folder / "tree/link").symlink_to(outside)
    (folder / "link").symlink_to(outside)
    await files.remove("link", recursive=True)
    await files.remove("tree", recursive=True)
    assert os.listdir(folder) == []
    assert os.listdir(outside) == ["file"]


async def test_remove_refuses_full_directories_nothing_and_the_workspace(files: ConfinedFiles) -> None:
    await files.write("tree/file", b"")
    for path, recursive in (("tree", False), ("missing", True), (".", True), ("tree/..", True)):
        with pytest.raises(SandboxFileError):
            await files.remove(path, recursive=recursive)
    assert await files.read("tree/file") == b""


async def test_a_file_that_is_too_large_is_not_read(files: ConfinedFiles, folder: Path) -> None:
    with (folder / "large").open("wb") as file:
        file.truncate(confined.LARGEST_READ + 1)
    with pytest.raises(SandboxFileError, match="larger than 32 MiB"):
        await files.read("large")


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 300, "x/" * 2000, "d/" * 3000])
async def test_a_path_that_no_file_can_have_is_a_file_error(files: ConfinedFiles, path: str) -> None:
    with pytest.raises(SandboxFileError):
        await files.write(path, b"x")


async def test_errors_name_no_path_of_the_host(files: ConfinedFiles, folder: Path) -> None:
    (folder / "link").symlink_to(folder.parent)
    for path in ("missing", "link/x", "../x", "/etc/passwd"):
        with pytest.raises(SandboxFileError) as caught:
            await files.read(path)
        assert str(folder.parent) not in f"{caught.value.message}{caught.value.details}"


async def test_a_workspace_that_is_gone_is_a_file_error(files: ConfinedFiles, folder: Path) -> None:
    folder.rmdir()
    with pytest.raises(SandboxFileError, match="not there any more"):
        await files.list(".")


async def test_a_directory_with_too_many_names_is_not_listed(
    files: ConfinedFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confined, "LONGEST_LIST", 3)
    for name in "abcd":
        (folder / name).touch()
    with pytest.raises(SandboxFileError, match="more than 3 names"):
        await files.list(".")


async def test_a_tree_is_removed_however_deep_and_takes_no_descriptors(files: ConfinedFiles, folder: Path) -> None:
    make_deep(folder, 1_200)
    await files.write("deep/deep/wide/a/file", b"x")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 200), hard))
    try:
        await files.remove("deep", recursive=True)
        assert os.listdir(folder) == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        subprocess.run(["rm", "-rf", folder], check=True)  # what pytest cannot remove


async def test_what_is_removed_may_hold_write_protected_directories_if_they_are_empty(
    files: ConfinedFiles, folder: Path
) -> None:
    await files.mkdir("tree/inner/locked")
    (folder / "tree/inner/locked").chmod(0o555)
    await files.remove("tree", recursive=True)
    assert os.listdir(folder) == []


async def test_a_write_that_is_cancelled_is_finished_before_the_next(files: ConfinedFiles, folder: Path) -> None:
    large = bytes(32 << 20)
    for _ in range(5):
        writing = asyncio.create_task(files.write("file", large))
        while not writing.done() and not any(name.endswith(".flue-tmp") for name in os.listdir(folder)):
            await asyncio.sleep(0)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await files.write("file", b"next")
        assert os.listdir(folder) == ["file"]
        assert (folder / "file").read_bytes() == b"next"
