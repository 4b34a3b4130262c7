"""An instance's hold on its sandbox: opened on first use, kept while the instance is active, stored when it changed."""

import asyncio
import posixpath
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Self
from weakref import WeakValueDictionary

from flue_actors.errors import SandboxFileError
from flue_actors.sandboxes.protocol import DirEntry, ExecResult, FileStat, OnOutput, Sandbox

Open = Callable[[], Awaitable[Sandbox]]


class Workspace:
    """A `Sandbox` whose real one is opened by the first call; what tools get as ``context.sandbox``.

    Attributes:
        cwd: Where relative paths start, once it is open; before that as configured, ``"."`` = the sandbox's own.
    """

    def __init__(self, open: Open, cwd: str | None = None) -> None:
        self._shared = _Shared(open)
        self._cwd = cwd

    @property
    def cwd(self) -> str:
        """Where relative paths start."""
        opened = self._shared.sandbox
        if opened is None:
            return self._cwd or "."
        return opened.cwd if self._cwd is None else posixpath.normpath(posixpath.join(opened.cwd, self._cwd))

    @property
    def is_open(self) -> bool:
        """True once something has used it."""
        return self._shared.sandbox is not None

    def rooted(self, cwd: str | None) -> Self:
        """The same sandbox with another ``cwd``, relative to this one's; for a task."""
        if cwd is None:
            return self
        other = type(self).__new__(type(self))
        other._shared = self._shared
        other._cwd = posixpath.join(self._cwd, cwd) if self._cwd is not None else cwd
        return other

    def cwd_with(self, cwd: str | None) -> str | None:
        """What a workspace of the same sandbox has to be rooted at, to work at ``cwd`` as seen from this one."""
        return cwd if self._cwd is None or cwd is None else posixpath.join(self._cwd, cwd)

    def locked(self, path: str) -> AbstractAsyncContextManager[object]:
        """Holds other edits of the same file back. Open the sandbox first: before that, relative paths are not known."""
        return self._shared.lock(self._at(path))

    async def opened(self) -> Sandbox:
        """The sandbox itself. Raises SandboxError."""
        return await self._shared.opened()

    async def exec(
        self,
        command: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        """See `Sandbox.exec`."""
        sandbox = await self._shared.opened()
        self._shared.changed = True
        where = self._at(cwd) if cwd is not None else self.cwd
        return await sandbox.exec(command, cwd=where, env=env, timeout=timeout, on_output=on_output)

    async def read(self, path: str) -> bytes:
        """See `Sandbox.read`."""
        sandbox = await self._shared.opened()
        with self._seen_from_here():
            return await sandbox.read(self._at(path))

    async def write(self, path: str, data: bytes) -> None:
        """See `Sandbox.write`."""
        sandbox = await self._shared.opened()
        self._shared.changed = True
        with self._seen_from_here():
            await sandbox.write(self._at(path), data)

    async def stat(self, path: str) -> FileStat | None:
        """See `Sandbox.stat`."""
        sandbox = await self._shared.opened()
        with self._seen_from_here():
            return await sandbox.stat(self._at(path))

    async def list(self, path: str) -> tuple[DirEntry, ...]:
        """See `Sandbox.list`."""
        sandbox = await self._shared.opened()
        with self._seen_from_here():
            return await sandbox.list(self._at(path))

    async def mkdir(self, path: str) -> None:
        """See `Sandbox.mkdir`."""
        sandbox = await self._shared.opened()
        self._shared.changed = True
        with self._seen_from_here():
            await sandbox.mkdir(self._at(path))

    async def remove(self, path: str, *, recursive: bool = False) -> None:
        """See `Sandbox.remove`."""
        sandbox = await self._shared.opened()
        self._shared.changed = True
        with self._seen_from_here():
            await sandbox.remove(self._at(path), recursive=recursive)

    async def snapshot(self) -> bytes | None:
        """What has to be stored; None when nothing changed since the last time, or nothing has to be stored at all.

        Raises:
            SandboxError: It holds more than may be kept; asked again, it is tried again.
        """
        shared = self._shared
        if shared.sandbox is None or not shared.changed:
            return None
        shared.changed = False
        try:
            found = await shared.sandbox.snapshot()
        except BaseException:
            shared.changed = True
            raise
        if found == shared.stored:
            return None
        shared.stored = found
        return found

    def forget(self) -> None:
        """A write was refused: what `snapshot` gave out may not be stored, and is given out again."""
        self._shared.stored = None
        self._shared.changed = True

    async def close(self) -> None:
        """Let go of the sandbox, if it was opened."""
        await self._shared.close()

    def _at(self, path: str) -> str:
        return posixpath.join(self.cwd, path)

    @contextmanager
    def _seen_from_here(self) -> Generator[None, None, None]:
        """What goes wrong with a relative path names it as it was given: where that is on the host is nobody's business."""
        try:
            yield
        except SandboxFileError as error:
            raise SandboxFileError(error.message.removeprefix(f"{self.cwd}/"), dev=error.dev) from error


class _Shared:
    """What all views of one sandbox have in common."""

    def __init__(self, open: Open) -> None:
        self._open = open
        self._opening: asyncio.Future[Sandbox] | None = None
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.sandbox: Sandbox | None = None
        self.changed = False
        self.stored: bytes | None = None

    async def opened(self) -> Sandbox:
        while self.sandbox is None:
            if self._opening is None:
                self._opening = asyncio.ensure_future(self._open())
                self._opening.add_done_callback(self._note)
            await asyncio.shield(self._opening)
        return self.sandbox

    def _note(self, opening: "asyncio.Future[Sandbox]") -> None:
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self.sandbox = opening.result()

    def lock(self, path: str) -> asyncio.Lock:
        name = posixpath.normpath(path)
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock

    async def close(self) -> None:
        if self._opening is not None:
            await asyncio.wait({self._opening})
        if self.sandbox is not None:
            sandbox, self.sandbox = self.sandbox, None
            await sandbox.close()
