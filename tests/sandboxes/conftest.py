"""Open sandboxes on the host, and folders for them."""

import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from flue_actors.errors import SandboxError
from flue_actors.ids import AgentKey
from flue_actors.sandboxes.host import HostSandbox
from flue_actors.sandboxes.isolated import IsolatedSandboxes, isolated
from flue_actors.sandboxes.local import local
from flue_actors.sandboxes.protocol import SandboxContext


def context(id: str = "u1") -> SandboxContext:
    return SandboxContext(key=AgentKey("coder", id))


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that another user may reach, as pytest's own are not when root runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="flue-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def workspace(outside: Path) -> Path:
    """A folder inside `outside`, not owned by root."""
    folder = outside / "workspace"
    folder.mkdir()
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return folder


@pytest.fixture
async def local_sandbox(workspace: Path) -> AsyncIterator[HostSandbox]:
    sandbox = await local(workspace).open(context())
    yield sandbox
    await sandbox.close()


@pytest.fixture
async def isolated_sandbox(workspace: Path) -> AsyncIterator[HostSandbox]:
    sandbox = await opened_isolated(isolated(workspace))
    yield sandbox
    await sandbox.close()


async def opened_isolated(factory: IsolatedSandboxes, id: str = "u1") -> HostSandbox:
    """Open it, or skip the test where the machine cannot."""
    try:
        return await factory.open(context(id))
    except SandboxError as error:
        if shutil.which("bwrap") is None or "on this machine" in error.message:
            pytest.skip(f"{error.message} {error.dev}")
        raise


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for something that other processes do."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def running(marker: str) -> bool:
    """Whether a process that has the marker among its arguments is alive."""
    wanted = marker.encode()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if wanted in entry.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


def make_deep(folder: Path, levels: int) -> None:
    """Directories in each other, deeper than any path can say."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("deep", dir_fd=here)
        inner = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
