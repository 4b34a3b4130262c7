"""The process of one virtual sandbox: bashkit, its files, and a line to whoever asked for it.

The files belong to a `bashkit.Bash` that never runs a command; every command has a fresh one (`shells`) that has those
files as its root. So commands may overlap, a cancelled or exhausted one leaves nothing behind in its shell, and the count of commands
that bashkit allows a shell (100,000 in all its life) starts anew with each.
"""

import asyncio
import os
import posixpath
import resource
import socket
from collections.abc import Coroutine
from typing import Final

import bashkit

from flue_actors.sandboxes.protocol import DirEntry, FileKind, FileStat
from flue_actors.sandboxes.virtual import wire
from flue_actors.sandboxes.virtual.command import Command
from flue_actors.sandboxes.virtual.shells import Shell, Shells

_BESIDE: Final = 256 * 1024 * 1024
"""What Python, bashkit and a command's input and output take themselves; 60 MiB were measured."""

_KINDS: Final[dict[str, FileKind]] = {"file": "file", "directory": "directory", "symlink": "link"}


def live(line: socket.socket) -> None:
    """Answer until the line closes, then exit at once, with everything that runs."""
    try:
        asyncio.run(_serve(line))
    finally:
        os._exit(0)


async def _serve(line: socket.socket) -> None:
    interpreter = Interpreter()
    await interpreter.warm_up()
    await asyncio.get_running_loop().create_unix_connection(lambda: interpreter, sock=line)
    await asyncio.Event().wait()


def limit_memory(most: int) -> None:
    """Let this process have so much memory beside what it needs anyway. Beyond that it is ended."""
    size = most + _BESIDE
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Interpreter(asyncio.Protocol):
    """The files, and the commands that run."""

    def __init__(self) -> None:
        self._line: asyncio.WriteTransport | None = None
        self._frames = wire.Frames()
        self._shells = Shells()
        self._files = self._shells.files
        self._opened: wire.Open | None = None
        self._running: dict[int, Command] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def warm_up(self) -> None:
        """Do once what costs more the first time, before somebody waits: 1 ms of the first command, measured."""
        for _ in range(3):
            shell = self._shells.take(Shell())
            await Command(shell, None, 1).run("echo > /tmp/warm; cat /tmp/warm; rm /tmp/warm", 1.0)
        self._shells.make_ahead(Shell())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`. So are the next two."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._line = transport

    def data_received(self, data: bytes) -> None:
        """Not streams, as they take a task and two turns of the loop: 0.1 ms of a command."""
        for request in self._frames.requests(data):
            if isinstance(request.ask, wire.Open):
                self._say(request.number, self.open(request.ask))
            else:
                self.take(request)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there to be answered."""
        os._exit(0)

    def open(self, opened: wire.Open) -> wire.Reply:
        """Become the sandbox that is asked for."""
        limit_memory(opened.memory)
        self._opened = opened
        if opened.snapshot is None:
            return self._plant(opened)
        try:
            self._shells.keeper.restore_snapshot(opened.snapshot)
        except bashkit.BashError:
            return wire.Failed(
                f"The sandbox's stored files cannot be restored: bashkit {bashkit.__version__} does not know their format."
            )
        return wire.Done()

    def _plant(self, opened: wire.Open) -> wire.Reply:
        self._files.mkdir(opened.cwd, recursive=True)
        for path, data in opened.files.items():
            try:
                self._write(path, data)
            except (RuntimeError, ValueError) as error:
                return _failed(_why(error), path)
        return wire.Done()

    def take(self, request: wire.Request) -> None:
        """Begin to answer it."""
        ask = request.ask
        if isinstance(ask, wire.Cancel):
            if ask.number in self._running:
                self._running[ask.number].end()
        elif isinstance(ask, wire.Exec):
            self._begin(request.number, ask)
        elif isinstance(ask, wire.Snapshot):
            self._later(self._snapshot(request.number, ask.most))
        else:
            self._say(request.number, self._of_files(ask))

    def _say(self, number: int, says: wire.Reply | wire.Output) -> None:
        if self._line is not None:
            self._line.write(wire.frame(wire.Answer(number, says)))

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _begin(self, number: int, ask: wire.Exec) -> None:
        opened = self._opened
        if opened is None or not self._is_directory(ask.cwd):
            self._say(number, wire.Failed(f'There is no directory "{ask.cwd}".', of_file=True))
            return
        shell = Shell(
            cwd=ask.cwd,
            env=ask.env,
            timeout=ask.timeout,
            memory=opened.memory,
            commands=opened.commands,
            network=opened.network,
        )

        def stream(output: wire.Output) -> None:
            self._say(number, output)

        # Known at once, not when its task begins: its cancellation may be the very next thing that is asked.
        command = Command(self._shells.take(shell), stream if ask.streaming else None, opened.output)
        self._running[number] = command
        self._later(self._run(number, command, ask, shell))

    async def _run(self, number: int, command: Command, ask: wire.Exec, shell: Shell) -> None:
        try:
            self._say(number, await command.run(ask.command, ask.timeout))
        finally:
            del self._running[number]
        self._shells.make_ahead(shell)

    async def _snapshot(self, number: int, most: int) -> None:
        data = await asyncio.to_thread(self._shells.keeper.snapshot)
        if len(data) <= most:
            self._say(number, wire.Bytes(data))
            return
        says = (
            f"The sandbox holds too much to be kept: {len(data)} bytes as stored, and {most} are allowed. "
            "Remove files that are not needed."
        )
        self._say(number, wire.Failed(says))

    def _of_files(self, ask: wire.Ask) -> wire.Reply:
        try:
            match ask:
                case wire.Read(path):
                    return self._read(path)
                case wire.Write(path, data):
                    self._write(path, data)
                case wire.Stat(path):
                    return wire.Found(self._stat(path))
                case wire.List(path):
                    return self._list(path)
                case wire.Mkdir(path):
                    self._files.mkdir(path, recursive=True)
                case wire.Remove(path, recursive):
                    self._files.remove(path, recursive)
                case _:
                    return wire.Failed("This cannot be asked now.")
        except (RuntimeError, UnicodeError, ValueError) as error:
            return _failed(_why(error), _path(ask))
        return wire.Done()

    def _read(self, path: str) -> wire.Reply:
        if self._is_directory(path):
            return _failed("is a directory", path)
        return wire.Bytes(self._files.read_file(path))

    def _write(self, path: str, data: bytes) -> None:
        self._files.mkdir(posixpath.dirname(path), recursive=True)
        self._files.write_file(path, data)

    def _is_directory(self, path: str) -> bool:
        return self._files.exists(path) and self._files.stat(path)["file_type"] == "directory"

    def _stat(self, path: str) -> FileStat | None:
        try:
            target = self._files.read_link(path)
        except RuntimeError:
            pass
        else:
            return FileStat(kind="link", size=len(target.encode()), modified=0.0)
        if not self._files.exists(path):
            return None
        found = self._files.stat(path)
        return FileStat(
            kind=_KINDS.get(found["file_type"], "other"), size=found["size"], modified=float(found["modified"])
        )

    def _list(self, path: str) -> wire.Reply:
        if not self._files.exists(path):
            return _failed("not found", path)
        if not self._is_directory(path):
            return _failed("not a directory", path)
        found = ((entry["name"], entry["metadata"]["file_type"]) for entry in self._files.read_dir(path))
        return wire.Names(tuple(DirEntry(name, _KINDS.get(kind, "other")) for name, kind in sorted(found)))


def _failed(why: str, path: str) -> wire.Failed:
    return wire.Failed(f'"{path}": {why}', of_file=True)


def _why(error: Exception) -> str:
    return str(error).removeprefix("io error: ")


def _path(ask: wire.Ask) -> str:
    return (
        ask.path if isinstance(ask, wire.Read | wire.Write | wire.Stat | wire.List | wire.Mkdir | wire.Remove) else ""
    )
