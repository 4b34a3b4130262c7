"""A virtual sandbox as its users have it: what they ask goes to the interpreter's process, and comes back."""

import asyncio
import posixpath
from collections.abc import Mapping
from typing import Final, Self, TypeVar, cast

import msgspec

from flue_actors.errors import SandboxError, SandboxFileError
from flue_actors.sandboxes.protocol import DirEntry, ExecResult, FileStat, OnOutput
from flue_actors.sandboxes.virtual import wire
from flue_actors.sandboxes.virtual.nursery import NURSERY

_CRASHED: Final = (
    "The sandbox's interpreter ended: the command needed more memory, or deeper recursion, than there may be. "
    "The sandbox starts anew with the files as they were stored the last time."
)
_PATIENCE: Final = 5.0
"""Seconds beyond its own limit after which a command that did not answer costs its interpreter."""

_CALM: Final = 0.02
"""Seconds after which the next interpreter is begun: not beside the first command of this one."""

Said = TypeVar("Said", bound=wire.Reply)


class VirtualSandbox:
    """See `Sandbox`. An interpreter that ends is started anew by the next call, from what was stored the last time.

    Args:
        opened: How an interpreter begins.
        seconds: What a command may take at most.
        stored: Bytes that a snapshot may have.
    """

    def __init__(self, opened: wire.Open, *, seconds: float, stored: int) -> None:
        self._opened = opened
        self._seconds = seconds
        self._stored = stored
        self._line: Line | None = None
        self._starting = asyncio.Lock()
        self._is_closed = False

    @classmethod
    async def begin(cls, opened: wire.Open, *, seconds: float, stored: int) -> Self:
        """One that runs. Raises SandboxError."""
        sandbox = cls(opened, seconds=seconds, stored=stored)
        await sandbox._running()
        return sandbox

    @property
    def cwd(self) -> str:
        """See `Sandbox.cwd`."""
        return self._opened.cwd

    async def exec(
        self,
        command: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        """See `Sandbox.exec`. A timeout beyond the sandbox's own limit is that limit."""
        ask = wire.Exec(
            command=command,
            cwd=self._at(cwd or "."),
            env=env or {},
            timeout=self._seconds if timeout is None else min(timeout, self._seconds),
            streaming=on_output is not None,
        )
        try:
            async with asyncio.timeout(ask.timeout + _PATIENCE):
                ran = await self._ask(ask, wire.Ran, on_output)
        except TimeoutError as error:
            await self._end()
            raise SandboxError(_CRASHED) from error
        return ExecResult(
            stdout=ran.stdout,
            stderr=ran.stderr,
            exit_code=ran.exit_code,
            timed_out=ran.timed_out,
            dropped=ran.dropped,
        )

    async def read(self, path: str) -> bytes:
        """See `Sandbox.read`."""
        return (await self._ask(wire.Read(self._at(path)), wire.Bytes)).data

    async def write(self, path: str, data: bytes) -> None:
        """See `Sandbox.write`."""
        await self._ask(wire.Write(self._at(path), data), wire.Done)

    async def stat(self, path: str) -> FileStat | None:
        """See `Sandbox.stat`."""
        return (await self._ask(wire.Stat(self._at(path)), wire.Found)).stat

    async def list(self, path: str) -> tuple[DirEntry, ...]:
        """See `Sandbox.list`."""
        return (await self._ask(wire.List(self._at(path)), wire.Names)).entries

    async def mkdir(self, path: str) -> None:
        """See `Sandbox.mkdir`."""
        await self._ask(wire.Mkdir(self._at(path)), wire.Done)

    async def remove(self, path: str, *, recursive: bool = False) -> None:
        """See `Sandbox.remove`."""
        await self._ask(wire.Remove(self._at(path), recursive), wire.Done)

    async def snapshot(self) -> bytes:
        """See `Sandbox.snapshot`."""
        data = (await self._ask(wire.Snapshot(self._stored), wire.Bytes)).data
        if len(data) > self._stored:  # it was told so, and what it runs may have made it say anything
            raise SandboxError("The sandbox holds too much to be kept.")
        self._opened = msgspec.structs.replace(self._opened, snapshot=data)
        return data

    async def close(self) -> None:
        """See `Sandbox.close`."""
        self._is_closed = True
        await self._end()

    async def _end(self) -> None:
        if self._line is not None:
            await self._line.close()

    def _at(self, path: str) -> str:
        # Two slashes at the start are one: POSIX leaves open what they mean.
        return "/" + posixpath.normpath(posixpath.join(self._opened.cwd, path)).lstrip("/")

    async def _ask(self, ask: wire.Ask, kind: type[Said], on_output: OnOutput | None = None) -> Said:
        line = await self._running()
        return await line.ask(ask, kind, on_output)

    async def _running(self) -> "Line":
        async with self._starting:
            if self._is_closed:
                raise SandboxError("The sandbox is closed.")
            if self._line is None or self._line.is_closed:
                line = await Line.open()
                try:
                    await line.begin(self._opened)
                except BaseException:
                    await line.close()
                    raise
                self._line = line
            return self._line


class Line(asyncio.Protocol):
    """To one interpreter."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._frames = wire.Frames()
        self._last = 0
        self._waiting: dict[int, tuple[asyncio.Future[wire.Reply], OnOutput | None]] = {}
        self._lost = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls) -> Self:
        """To a new one. Raises SandboxError."""
        line, loop = NURSERY.start(), asyncio.get_running_loop()
        loop.call_later(_CALM, NURSERY.begin_ahead)
        _, begun = await loop.create_unix_connection(cls, sock=line)
        return begun

    @property
    def is_closed(self) -> bool:
        """True when nothing can be asked any more."""
        return self._transport is None or self._transport.is_closing()

    async def begin(self, opened: wire.Open) -> None:
        """Say what its sandbox is. Where nothing can be wrong with that, the first command need not wait for an answer."""
        if opened.snapshot is not None or opened.files:
            await self.ask(opened, wire.Done)
        else:
            self._send(wire.Request(0, opened))

    async def ask(self, ask: wire.Ask, kind: type[Said], on_output: OnOutput | None = None) -> Said:
        """What is said to it. Cancelling the call ends the command that it asked for."""
        self._last += 1
        number = self._last
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = (answer, on_output)
        try:
            self._send(wire.Request(number, ask))
            says = await answer
        except asyncio.CancelledError:
            if not self.is_closed:
                self._send(wire.Request(number, wire.Cancel(number)))
            raise
        finally:
            del self._waiting[number]
        if isinstance(says, wire.Failed):
            raise (SandboxFileError if says.of_file else SandboxError)(says.message)
        if not isinstance(says, kind):
            raise SandboxError(_CRASHED)
        return says

    async def close(self) -> None:
        """The interpreter ends, and whoever waits hears of it."""
        if self._transport is not None:
            self._transport.abort()
            await asyncio.wait({self._lost})

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`. So are the next two."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's do not derive from it

    def data_received(self, data: bytes) -> None:
        """Hear the answers. What makes no sense is the last that is heard."""
        try:
            for answer in self._frames.answers(data):
                self._hear(answer)
        except EOFError:
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        for answer, _ in self._waiting.values():
            if not answer.done():
                answer.set_exception(SandboxError(_CRASHED))
        if not self._lost.done():
            self._lost.set_result(None)

    def _send(self, request: wire.Request) -> None:
        if self._transport is None or self.is_closed:
            raise SandboxError(_CRASHED)
        self._transport.write(wire.frame(request))

    def _hear(self, answer: wire.Answer) -> None:
        waiting = self._waiting.get(answer.number)
        if waiting is None:
            return
        future, on_output = waiting
        if not isinstance(answer.says, wire.Output):
            if not future.done():
                future.set_result(answer.says)
        elif on_output is not None:
            on_output(answer.says.stream, answer.says.data)
