"""A sandbox for tests of tools: files in memory, and a shell that answers what it is told to."""

import asyncio
import posixpath
from collections.abc import Callable, Mapping

from flue_actors.definition.tools import Tool, ToolAnswer, ToolContext
from flue_actors.errors import SandboxFileError
from flue_actors.ids import AgentKey
from flue_actors.sandboxes.protocol import DirEntry, ExecResult, FileKind, FileStat, OnOutput, Sandbox
from flue_actors.sandboxes.workspace import Workspace

Shell = Callable[[str], ExecResult]


def done(stdout: str = "", stderr: str = "", exit_code: int = 0, **more) -> ExecResult:
    return ExecResult(stdout=stdout.encode(), stderr=stderr.encode(), exit_code=exit_code, **more)


class MemorySandbox:
    """See `Sandbox`. Writes let others run in between, as real ones do. Every write is a second later."""

    cwd = "/work"

    def __init__(self, shell: Shell = lambda _command: done()) -> None:
        self.files: dict[str, bytes] = {}
        self.modified: dict[str, float] = {}
        self.commands: list[tuple[str, float | None]] = []
        self._shell = shell

    def at(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self.cwd, path))

    async def exec(
        self,
        command: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        self.commands.append((command, timeout))
        return self._shell(command)

    async def read(self, path: str) -> bytes:
        await asyncio.sleep(0)
        try:
            return self.files[self.at(path)]
        except KeyError:
            raise SandboxFileError(f"{path}: no such file") from None

    async def write(self, path: str, data: bytes) -> None:
        await asyncio.sleep(0)
        self.files[self.at(path)] = data
        self.modified[self.at(path)] = len(self.modified)

    def _kind(self, path: str) -> FileKind | None:
        if self.at(path) in self.files:
            return "file"
        return "directory" if any(one.startswith(self.at(path) + "/") for one in self.files) else None

    async def stat(self, path: str) -> FileStat | None:
        kind = self._kind(path)
        size = len(self.files.get(self.at(path), b""))
        return None if kind is None else FileStat(kind=kind, size=size, modified=self.modified.get(self.at(path), 0.0))

    async def list(self, path: str) -> tuple[DirEntry, ...]:
        below = self.at(path).rstrip("/") + "/"
        names = {one.removeprefix(below).split("/")[0] for one in self.files if one.startswith(below)}
        return tuple(DirEntry(name, self._kind(below + name) or "other") for name in sorted(names))

    async def mkdir(self, path: str) -> None: ...

    async def remove(self, path: str, *, recursive: bool = False) -> None:
        del self.files[self.at(path)]

    async def snapshot(self) -> bytes | None:
        return None

    async def close(self) -> None: ...


class Desk:
    """A sandbox and a way to call tools on it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._calls = 0

        async def open() -> Sandbox:
            return sandbox

        self.workspace = Workspace(open)

    async def call(self, tool: Tool, **arguments: object) -> ToolAnswer:
        self._calls += 1
        context = ToolContext(
            tool_call_id=f"call_{self._calls}",
            tool=tool.name,
            agent=AgentKey("tester", "1"),
            session="default",
            sandbox=self.workspace,
        )
        return await tool.execute(tool.bind(arguments), context, _run_blocking)


async def _run_blocking(function):
    return await asyncio.to_thread(function)


def desk(shell: Shell = lambda _command: done(), **files: str | bytes) -> Desk:
    """A desk with these files; an underscore in a name stands for a dot."""
    sandbox = MemorySandbox(shell)
    for name, content in files.items():
        sandbox.files[sandbox.at(name.replace("_", "."))] = content if isinstance(content, bytes) else content.encode()
    return Desk(sandbox)
