"""``local(...)``: the host's own shell and a folder of it. A convenience for machines you trust the agent with."""

import asyncio
import os
from collections.abc import Mapping
from typing import Final

import msgspec

from flue_actors.errors import ConfigError, SandboxError
from flue_actors.sandboxes.confined import ConfinedFiles
from flue_actors.sandboxes.host import HostSandbox
from flue_actors.sandboxes.processes import Launch, is_variable
from flue_actors.sandboxes.protocol import SandboxContext
from flue_actors.sandboxes.shells import any_shell

ALLOWED_ENV: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "HOSTNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM"),
    *("TMPDIR", "TMP", "TEMP"),
)
"""Variables of our own environment that commands see."""


class LocalSandboxes(msgspec.Struct, frozen=True, kw_only=True):
    """What `local` makes. Equal by value; its representation shows names of variables, not their values."""

    cwd: str
    env: tuple[tuple[str, str], ...]
    timeout: float | None

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.env)
        return f"local({self.cwd!r}, env=<{names}>, timeout={self.timeout})"

    async def open(self, context: SandboxContext) -> HostSandbox:
        """See `SandboxFactory.open`."""
        folder = await asyncio.to_thread(_real_folder, self.cwd)
        shell = any_shell()

        def prepare(command: str, cwd: str, env: Mapping[str, str]) -> Launch:
            return Launch(argv=(*shell, command), cwd=cwd, env=env)

        files = ConfinedFiles(folder, shown=folder)
        return HostSandbox(files, prepare, cwd=folder, env=dict(self.env), timeout=self.timeout)


def _real_folder(path: str) -> str:
    if not os.path.isdir(path):
        raise SandboxError("The sandbox's folder does not exist.", dev=f"local(cwd={path!r})")
    return os.path.realpath(path)


def local(
    cwd: str | os.PathLike[str] | None = None,
    *,
    env: Mapping[str, str | None] | None = None,
    timeout: float | None = None,
) -> LocalSandboxes:
    """The host's shell, in a folder of the host. File methods stay in that folder; **commands do not**.

    A command may do whatever our own user may: read other files, other processes, the network. For work that has to be
    kept in, use `isolated` or `virtual`.

    Commands get an environment of their own: of ours only `ALLOWED_ENV`, as it is now, and what ``env`` says. They have no
    input and read no startup files. When a command ends, times out or is cancelled, and when our process dies, everything
    it started is killed, in the background or not. That cannot be promised for what asks another process to run it
    (``at``, ``systemd-run``, docker), what runs as another user (``sudo``), a command that sets out to kill its supervisor,
    and outside of Linux, for what left its process group (``setsid``).

    Args:
        cwd: The workspace. Default: the process's current folder.
        env: More variables; None drops one.
        timeout: The longest one command may take, in seconds; default: no limit.

    Raises:
        ConfigError: ``timeout`` is not positive, or the name of a variable is not one.
    """
    if timeout is not None and timeout <= 0:
        raise ConfigError("local(timeout=...) is a positive number of seconds, or None.")
    inherited = {name: os.environ[name] for name in ALLOWED_ENV if name in os.environ}
    return LocalSandboxes(
        cwd=os.path.abspath(cwd if cwd is not None else os.curdir),
        env=environment(inherited, env or {}),
        timeout=timeout,
    )


def environment(base: Mapping[str, str], changes: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    """The base with the changes, as sorted pairs. Raises ConfigError for what no environment can hold."""
    for name, value in changes.items():
        if not is_variable(name) or "\0" in (value or ""):
            raise ConfigError(f"An environment cannot hold the variable {name!r}.")
    merged = {**base, **changes}
    return tuple(sorted((name, value) for name, value in merged.items() if value is not None))
