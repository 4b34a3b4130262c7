"""Commands on the host: each under a supervisor, its output bounded while it streams, ended with all it started."""

import asyncio
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from flue_actors.errors import SandboxError
from flue_actors.sandboxes.protocol import TIMED_OUT, ExecResult, OnOutput, Stream

KEPT: Final = 1 << 20
"""Bytes of each stream that are kept of a flood: its end."""

_ENDING: Final = 5.0
"""Seconds until a command that cannot be killed (it hangs in the kernel) is left to itself."""
_DRAINING: Final = 1.0
"""Seconds until output is cut off that a process out of our reach still holds open."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SUPERVISOR = str(Path(__file__).with_name("supervisor.py"))
_STREAMS: Final[dict[int, Stream]] = {1: "stdout", 2: "stderr"}


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What to run.

    Attributes:
        argv: The program by its absolute path, and its arguments.
        cwd: A folder of the host.
        env: The whole environment.
        user: (uid, gid) to become; only root can.
        memory: Bytes that all of its processes may hold together; None: no limit.
    """

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    user: tuple[int, int] | None = None
    memory: int | None = None


class Processes:
    """The commands that run for one sandbox."""

    def __init__(self) -> None:
        self._running: set[_Command] = set()
        self._closed = False

    async def run(
        self, launch: Launch, *, timeout: float | None = None, on_output: OnOutput | None = None
    ) -> ExecResult:
        """Run it to its end, or to the end of its time (seconds). Nothing it started is left afterwards.

        Raises:
            SandboxError: It cannot be started, or the sandbox was closed meanwhile.
        """
        _check(launch)
        command = _Command(on_output)
        self._running.add(command)
        try:
            await self._start(command, launch)
            timed_out = not await _within(timeout, command.exited)
        finally:
            await asyncio.shield(asyncio.ensure_future(self._end(command)))
        if self._closed:
            raise SandboxError("The sandbox was closed while the command ran.")
        return command.result(timed_out=timed_out)

    async def close(self) -> None:
        """End all that runs. Nothing can be run afterwards."""
        self._closed = True
        await asyncio.gather(*(self._end(command) for command in tuple(self._running)))

    async def _start(self, command: "_Command", launch: Launch) -> None:
        if self._closed:
            raise SandboxError("The sandbox is closed.")
        user = "-" if launch.user is None else "{}:{}".format(*launch.user)
        memory = "-" if launch.memory is None else str(launch.memory)
        argv = (sys.executable, "-I", "-S", _SUPERVISOR, user, memory, *launch.argv)
        loop = asyncio.get_running_loop()
        # Given up half way, asyncio would kill the supervisor alone: a start is always finished, and then ended.
        command.starting = asyncio.ensure_future(
            loop.subprocess_exec(
                lambda: command, *argv, cwd=launch.cwd, env=_carried(launch.env), start_new_session=True
            )
        )
        try:
            await asyncio.shield(command.starting)
        except OSError as error:
            raise SandboxError(f"The command cannot be started: {error.strerror}.") from error

    async def _end(self, command: "_Command") -> None:
        await command.end()
        self._running.discard(command)


class _Command(asyncio.SubprocessProtocol):
    """One command while it runs."""

    def __init__(self, on_output: OnOutput | None) -> None:
        loop = asyncio.get_running_loop()
        self.starting: asyncio.Future[tuple[asyncio.SubprocessTransport, _Command]] | None = None
        self.exited: asyncio.Future[None] = loop.create_future()
        self._silent: asyncio.Future[None] = loop.create_future()
        self._open = set(_STREAMS)
        self._output = {descriptor: _Tail() for descriptor in _STREAMS}
        self._on_output = on_output
        self._code = 0

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._output[fd].add(data)
        if self._on_output is not None:
            self._on_output(_STREAMS[fd], data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        if not self._open and not self._silent.done():
            self._silent.set_result(None)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    async def end(self) -> None:
        """Hang up on the supervisor and wait until it and the output have ended. May be called more than once."""
        if self.starting is None:
            return
        await asyncio.wait({self.starting})
        if self.starting.exception() is not None:
            return
        transport, _ = self.starting.result()
        line = transport.get_pipe_transport(0)
        if line is not None:
            line.close()
        if await _within(_ENDING, self.exited):
            await _within(_DRAINING, self._silent)
        returned = transport.get_returncode() or 0
        self._code = returned if returned >= 0 else 128 - returned
        transport.close()

    def result(self, *, timed_out: bool) -> ExecResult:
        stdout, stderr = self._output[1], self._output[2]
        return ExecResult(
            stdout=stdout.kept(),
            stderr=stderr.kept(),
            exit_code=TIMED_OUT if timed_out else self._code,
            timed_out=timed_out,
            dropped=stdout.dropped() + stderr.dropped(),
        )


class _Tail:
    """The end of a stream. Holds at most twice what is kept, so a flood is copied once, not once per piece."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._seen = 0

    def add(self, data: bytes) -> None:
        self._seen += len(data)
        self._held += data
        if len(self._held) > 2 * KEPT:
            del self._held[:-KEPT]

    def kept(self) -> bytes:
        return bytes(self._held[-KEPT:])

    def dropped(self) -> int:
        return max(0, self._seen - KEPT)


def _carried(env: Mapping[str, str]) -> dict[str, str]:
    return {f"SUPERVISED_{number}": f"{name}={value}" for number, (name, value) in enumerate(env.items())}


def is_variable(name: str) -> bool:
    """Whether an environment can hold a variable of this name, and a shell can export it."""
    return _VARIABLE.match(name) is not None


async def _within(seconds: float | None, awaited: asyncio.Future[None]) -> bool:
    done, _ = await asyncio.wait({awaited}, timeout=seconds)
    return bool(done)


def _check(launch: Launch) -> None:
    texts = (*launch.argv, *launch.env.keys(), *launch.env.values())
    if any("\0" in text for text in texts) or not all(map(is_variable, launch.env)):
        raise SandboxError("A command or an environment variable holds a character that it cannot hold.")
    try:
        for text in texts:
            text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise SandboxError("The command is not valid text.") from error
