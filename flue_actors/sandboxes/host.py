"""A sandbox whose files are a folder of the host and whose commands are the host's processes: `local` and `isolated`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from flue_actors.sandboxes.confined import ConfinedFiles
from flue_actors.sandboxes.processes import Launch, Processes
from flue_actors.sandboxes.protocol import DirEntry, ExecResult, FileStat, OnOutput

Prepare = Callable[[str, str, Mapping[str, str]], Launch]
"""From a command, the directory to run it in (as the sandbox calls it) and the environment to what is started."""


class HostSandbox:
    """See `Sandbox`.

    Args:
        cwd: The folder, as the sandbox calls it.
        env: What every command gets.
        timeout: The longest a command may take, in seconds.
        release: Called once at the end, when nothing runs any more.
    """

    def __init__(
        self,
        files: ConfinedFiles,
        prepare: Prepare,
        *,
        cwd: str,
        env: Mapping[str, str],
        timeout: float | None,
        release: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._files = files
        self._prepare = prepare
        self._cwd = cwd
        self._env = env
        self._timeout = timeout
        self._release = release
        self._processes = Processes()

    @property
    def cwd(self) -> str:
        """See `Sandbox.cwd`."""
        return self._cwd

    async def exec(
        self,
        command: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        """See `Sandbox.exec`. Of each stream the last MiB is kept; a ``timeout`` cannot go beyond the sandbox's own."""
        directory = await self._files.directory(cwd if cwd is not None else self._cwd)
        launch = self._prepare(command, directory, {**self._env, **(env or {})})
        limits = [limit for limit in (timeout, self._timeout) if limit is not None]
        return await self._processes.run(launch, timeout=min(limits, default=None), on_output=on_output)

    async def read(self, path: str) -> bytes:
        """See `Sandbox.read`. Files of more than 32 MiB are refused."""
        return await self._files.read(path)

    async def write(self, path: str, data: bytes) -> None:
        """See `Sandbox.write`."""
        await self._files.write(path, data)

    async def stat(self, path: str) -> FileStat | None:
        """See `Sandbox.stat`."""
        return await self._files.stat(path)

    async def list(self, path: str) -> tuple[DirEntry, ...]:
        """See `Sandbox.list`."""
        return await self._files.list(path)

    async def mkdir(self, path: str) -> None:
        """See `Sandbox.mkdir`."""
        await self._files.mkdir(path)

    async def remove(self, path: str, *, recursive: bool = False) -> None:
        """See `Sandbox.remove`. The workspace itself cannot be removed."""
        await self._files.remove(path, recursive=recursive)

    async def snapshot(self) -> None:
        """Nothing is to be stored: the files are on the host."""

    async def close(self) -> None:
        """See `Sandbox.close`."""
        await self._processes.close()
        release, self._release = self._release, None
        if release is not None:
            await asyncio.shield(asyncio.ensure_future(release()))  # half of it would stay for ever
