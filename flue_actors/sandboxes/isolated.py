"""``isolated(...)``: a Linux namespace made by bubblewrap, with a folder of the host as its workspace."""

import asyncio
import os
import shutil
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from flue_actors.errors import ConfigError, SandboxError
from flue_actors.sandboxes.bubblewrap import WORKSPACE, Box, Limits, bwrap_argv, carried, furnish
from flue_actors.sandboxes.confined import ConfinedFiles
from flue_actors.sandboxes.folders import (
    discard,
    instance_folder,
    make_private,
    owner_of,
    temporary,
    unprivileged,
)
from flue_actors.sandboxes.host import HostSandbox
from flue_actors.sandboxes.local import environment
from flue_actors.sandboxes.processes import Launch
from flue_actors.sandboxes.protocol import SandboxContext

_ENV: Final = {
    "HOME": WORKSPACE,
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM": "dumb",
    "TMPDIR": "/tmp",  # noqa: S108
    "USER": "agent",
}
_SMALLEST_MEMORY: Final = 64 << 20  # below, the shell does not start
_PROBE_TIMEOUT: Final = 30.0


class IsolatedSandboxes(msgspec.Struct, frozen=True, kw_only=True):
    """What `isolated` makes. Equal by value; its representation shows names of variables, not their values."""

    workspace: str | None
    root: str | None
    network: bool
    env: tuple[tuple[str, str], ...]
    limits: Limits
    timeout: float | None
    read_only: tuple[str, ...]

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.env)
        return f"isolated({self.workspace!r}, root={self.root!r}, network={self.network}, env=<{names}>)"

    async def open(self, context: SandboxContext) -> HostSandbox:
        """See `SandboxFactory.open`."""
        try:
            sandbox = await asyncio.to_thread(self._make, context)
        except OSError as error:
            raise SandboxError("The sandbox's folders cannot be made.", dev=str(error)) from error
        try:
            await _probe(sandbox)
        except BaseException:
            await sandbox.close()
            raise
        return sandbox

    def _make(self, context: SandboxContext) -> HostSandbox:
        owner = unprivileged() if self.workspace is None else owner_of(self.workspace)
        scratch = temporary(owner)
        try:
            furnish(scratch, owner)
            workspace = self._workspace(context, scratch, owner)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)  # nobody has been in it
            raise
        box = Box(
            workspace=workspace, scratch=scratch, network=self.network, read_only=self.read_only, limits=self.limits
        )

        def prepare(command: str, cwd: str, env: Mapping[str, str]) -> Launch:
            argv = bwrap_argv(box, command, cwd)
            return Launch(argv=argv, cwd="/", env=carried(env), user=owner, memory=self.limits.total_memory)

        return HostSandbox(
            ConfinedFiles(workspace, shown=WORKSPACE, owner=owner),
            prepare,
            cwd=WORKSPACE,
            env=dict(self.env),
            timeout=self.timeout,
            release=partial(discard, scratch),
        )

    def _workspace(self, context: SandboxContext, scratch: str, owner: tuple[int, int] | None) -> str:
        if self.workspace is not None:
            return self.workspace
        folder = instance_folder(self.root, context.key) if self.root is not None else Path(scratch, "workspace")
        make_private(folder, owner)
        return str(folder)


def isolated(
    workspace: str | os.PathLike[str] | None = None,
    *,
    root: str | os.PathLike[str] | None = None,
    network: bool = False,
    env: Mapping[str, str | None] | None = None,
    memory: int = 4 << 30,
    total_memory: int = 4 << 30,
    processes: int = 256,
    file_size: int = 1 << 30,
    timeout: float | None = None,
    read_only: Iterable[str | os.PathLike[str]] = (),
) -> IsolatedSandboxes:
    """A shell in namespaces of its own (Linux, bubblewrap 0.8 or newer), with the workspace at ``/workspace``.

    Commands see a read-only ``/usr`` and the few files of ``/etc`` that programs need, a private ``/tmp`` that lasts as
    long as the sandbox is open, no other process, no variable of ours, and no network. All of a command is gone when it
    ends. If we are root, commands run as the workspace's owner, or as ``nobody`` in folders made here: never as root.

    What is not limited: what all files of the workspace take together. With ``network=True`` commands are in the host's network: its loopback too.

    Args:
        workspace: A folder of the host, shared by all instances of the agent.
        root: Instead: a folder in which every instance gets one of its own, ``<agent>/<id>``, that stays.
            With neither, an instance's folder is gone when its sandbox closes.
        env: More variables; None drops one.
        memory: Bytes of address space of one process. Programs reserve more than they use: Node needs 2 GiB to start.
        total_memory: Bytes that all processes of one command hold together; beyond it the command is ended. Looked at five
            times a second, so it is a bound for programs that need too much, not for those that mean harm: only a cgroup
            around the whole service is.
        processes: Processes and threads of one command.
        file_size: Bytes of one file.
        timeout: The longest one command may take, in seconds; default: no limit.
        read_only: Further folders of the host, seen at the same path.

    Raises:
        ConfigError: ``workspace`` and ``root`` exclude each other; a limit is too small.
    """
    if workspace is not None and root is not None:
        raise ConfigError("isolated() takes a workspace, or a root for one per instance, not both.")
    if (
        min(memory, total_memory) < _SMALLEST_MEMORY
        or processes < 1
        or file_size < 1
        or (timeout is not None and timeout <= 0)
    ):
        raise ConfigError("isolated(): the limits are positive, and memory is at least 64 MiB.")
    return IsolatedSandboxes(
        workspace=None if workspace is None else os.path.realpath(workspace),
        root=None if root is None else os.path.realpath(root),
        network=network,
        env=environment(_ENV, env or {}),
        limits=Limits(memory=memory, total_memory=total_memory, processes=processes, file_size=file_size),
        timeout=timeout,
        read_only=tuple(os.path.abspath(folder) for folder in read_only),
    )


async def _probe(sandbox: HostSandbox) -> None:
    """Run nothing, to learn now and not in the middle of a turn that this machine allows no namespaces."""
    result = await sandbox.exec("true", timeout=_PROBE_TIMEOUT)
    if result.exit_code != 0:
        raise SandboxError(
            "Isolated sandboxes cannot be made on this machine.",
            details="Allow unprivileged user namespaces, or use a virtual sandbox.",
            dev=result.stderr.decode("utf-8", "replace"),
        )
