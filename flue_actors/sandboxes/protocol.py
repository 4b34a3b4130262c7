"""The sandbox port: a shell and files, wherever they are.

An agent has a sandbox only if its definition says so (``sandbox=``); then the model gets file and shell tools, and every
tool may use ``context.sandbox``. A `SandboxFactory` is a part of the definition; it is opened once per activation of an
instance, when something first uses it, and closed when the instance leaves memory.

Paths are POSIX paths. A relative one is meant from ``cwd``. Which absolute ones exist is the sandbox's own affair, but
none of its file methods ever reaches a file of the host outside of what the sandbox was given.
"""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import msgspec

from flue_actors.ids import AgentKey

Stream = Literal["stdout", "stderr"]
OnOutput = Callable[[Stream, bytes], None]
"""Takes output as it comes, on the loop. It must not block."""

FileKind = Literal["file", "directory", "link", "other"]

TIMED_OUT = 124
"""Exit code of a command that was stopped because its time was over, as of ``timeout(1)``."""


class ExecResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a command came to.

    Attributes:
        stdout, stderr: What it wrote, as bytes, bounded: of a flood the last part is kept.
        exit_code: 0 is success; `TIMED_OUT` when ``timed_out``; 128 + n when signal n ended it.
        dropped: Bytes of output that were thrown away because there were too many.
    """

    stdout: bytes
    stderr: bytes
    exit_code: int
    timed_out: bool = False
    dropped: int = 0


class FileStat(msgspec.Struct, frozen=True, kw_only=True):
    """One file. ``kind`` is of the path itself: a link is not followed.

    Attributes:
        size: Bytes.
        modified: Seconds since the epoch.
    """

    kind: FileKind
    size: int
    modified: float


class DirEntry(msgspec.Struct, frozen=True):
    """One name in a directory."""

    name: str
    kind: FileKind


class Sandbox(Protocol):
    """One open sandbox. Its calls may overlap. All of them raise `SandboxError`; what it says is for the model."""

    @property
    def cwd(self) -> str:
        """Where relative paths start: an absolute path inside the sandbox."""
        ...

    async def exec(
        self,
        command: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        """Run a shell command. Cancelling the call ends it with everything it started.

        Args:
            cwd: Default: ``cwd`` of the sandbox.
            env: On top of the sandbox's own environment.
            timeout: Seconds; None = the sandbox's own limit, if it has one.
        """
        ...

    async def read(self, path: str) -> bytes:
        """The bytes of a regular file.

        Raises:
            SandboxFileError: There is none, it is not regular, or it is too large to be read whole.
        """
        ...

    async def write(self, path: str, data: bytes) -> None:
        """Make the file, and the directories above it, or replace what it holds."""
        ...

    async def stat(self, path: str) -> FileStat | None:
        """What stands at the path; None: nothing."""
        ...

    async def list(self, path: str) -> tuple[DirEntry, ...]:
        """The names in a directory, sorted."""
        ...

    async def mkdir(self, path: str) -> None:
        """Make the directory and those above it. One that is there is fine."""
        ...

    async def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file, a link, or an empty directory; with ``recursive`` any directory. Nothing there is an error."""
        ...

    async def snapshot(self) -> bytes | None:
        """Everything it holds, to be stored with the instance; None where its files live on by themselves.

        Raises:
            SandboxError: It holds more than may be kept.
        """
        ...

    async def close(self) -> None:
        """Let go of it; commands that run are ended. Idempotent."""
        ...


class SandboxContext(msgspec.Struct, frozen=True, kw_only=True):
    """Whose sandbox is opened.

    Attributes:
        snapshot: What `Sandbox.snapshot` gave the last time, if anything was stored.
    """

    key: AgentKey
    snapshot: bytes | None = None


class SandboxFactory(Protocol):
    """How an agent's sandboxes are made: ``virtual(...)``, ``local(...)``, ``isolated(...)``, or your own.

    Two factories that are equal make the same sandbox: an instance keeps its open one over submissions while the
    definition's factory is equal to the one it was made by. So a frozen Struct is best.

    It may have ``tools``: a sequence of `Tool`; they replace read, write, edit, bash, grep and glob. And ``stored``: True
    when its sandboxes hold nothing that is not in their snapshot. An instance then lets go of its own while it has nothing
    to do: memory follows work.
    """

    async def open(self, context: SandboxContext) -> Sandbox:
        """Make one.

        Raises:
            SandboxError: It cannot be made now.
        """
        ...
