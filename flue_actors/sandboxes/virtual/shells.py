"""The shells of one interpreter: a fresh one for every command, and the next one made ahead of it."""

from collections.abc import Mapping, Sequence
from typing import Final

import bashkit
import msgspec

from flue_actors.sandboxes.virtual.limits import HOME, VirtualLimits

_USER: Final = "user"
_HOST: Final = "sandbox"
_TELLS_TIMEOUT: Final = 1.0
"""Seconds after which bashkit ends by itself a builtin that did not hear of its cancellation (of `jq`, a recursion)."""


class Shell(msgspec.Struct, frozen=True, kw_only=True):
    """All that makes one shell. The defaults are those of `virtual`, and of a command that says nothing else.

    Attributes:
        timeout: Seconds after which a command is stopped, by whoever runs it.
    """

    cwd: str = HOME
    env: Mapping[str, str] = {}
    timeout: float = VirtualLimits().seconds
    memory: int = VirtualLimits().memory
    commands: int = VirtualLimits().commands
    network: Sequence[str] | None = None


class Shells:
    """Makes them, over the same files.

    A shell takes 0.3 ms, and most commands want one like that of the command before.
    """

    def __init__(self) -> None:
        self.keeper = made(Shell(cwd="/"))
        """Has the files, and runs nothing."""
        self.files = self.keeper.fs()
        self._ahead: tuple[Shell, bashkit.Bash] | None = None

    def take(self, shell: Shell) -> bashkit.Bash:
        """One that nobody has used."""
        if self._ahead is None or self._ahead[0] != shell:
            return self._over_files(shell)
        (_, ready), self._ahead = self._ahead, None
        return ready

    def make_ahead(self, shell: Shell) -> None:
        """Have one ready, instead of the one that was."""
        if self._ahead is None or self._ahead[0] != shell:
            self._ahead = shell, self._over_files(shell)

    def _over_files(self, shell: Shell) -> bashkit.Bash:
        bash = made(shell)
        bash.mount("/", self.files)
        return bash


def made(shell: Shell) -> bashkit.Bash:
    """A shell with files of its own."""
    return bashkit.Bash(
        username=_USER,
        hostname=_HOST,
        cwd=shell.cwd,
        env={"HOME": HOME, "PATH": "/usr/bin:/bin", **shell.env},
        max_commands=shell.commands,
        max_loop_iterations=shell.commands,
        max_memory=shell.memory,
        timeout_seconds=shell.timeout + _TELLS_TIMEOUT,
        network=None if shell.network is None else {"allow": list(shell.network), "block_private_ips": True},
        profile=bashkit.ExecutionProfile.Standard,
    )
