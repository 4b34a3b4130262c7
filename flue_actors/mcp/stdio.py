"""An MCP server as a child process that speaks over stdin and stdout.

The package's own transport would do but for three things: children that outlive their server are ended too, a line has a
bound, and what the server writes on stderr goes to the log, within a bound, instead of to our stderr.
"""

import asyncio
import logging
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from flue_actors.errors import ConfigError
from flue_actors.mcp.target import Target

logger = logging.getLogger("flue_actors.mcp")

LONGEST_LINE: Final = 32 * 1024 * 1024
"""Bytes of one message. A server that writes more without an end of line is broken."""

LOGGED: Final = 256 * 1024
"""Bytes of stderr that are logged per connection; the rest is read and dropped."""

GRACE: Final = 2.0
"""Seconds a server gets to end after its stdin was closed, and again after SIGTERM."""

Inbound = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Inbound], MemoryObjectSendStream[SessionMessage]]


@asynccontextmanager
async def stdio_transport(target: Target, lost: Callable[[], None]) -> AsyncGenerator[Streams]:
    """Start the process and end it, with its children, on leaving.

    Args:
        lost: Called when it says nothing more.

    Raises:
        ConfigError: The command cannot be started.
    """
    process = await _start(target)
    noise = _Noise(target.name)
    try:
        inbound_in, inbound = anyio.create_memory_object_stream[Inbound](0)
        outbound, outbound_out = anyio.create_memory_object_stream[SessionMessage](0)
        async with anyio.create_task_group() as group, inbound, outbound:
            group.start_soon(_read, process, inbound_in, lost)
            group.start_soon(_write, process, outbound_out)
            group.start_soon(noise.drain, process)
            try:
                yield inbound, outbound
            finally:
                with anyio.CancelScope(shield=True):
                    inbound.close()
                    await _end(process)
                    await noise.wait()
                group.cancel_scope.cancel()
    except BaseException as error:
        error.add_note(noise.tail())  # why a server did not start is nowhere else
        if process.returncode is None:
            _signal(process, signal.SIGKILL)  # cancelled twice: no time for more
        raise


async def _start(target: Target) -> Process:
    assert target.command is not None
    try:
        return await asyncio.create_subprocess_exec(
            target.command,
            *target.args,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={**get_default_environment(), **target.env},
            start_new_session=True,
            limit=LONGEST_LINE,
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f'The command of the MCP server "{target.name}" cannot be started.', dev=f"{target.command}: {error}"
        ) from error


async def _read(process: Process, messages: MemoryObjectSendStream[Inbound], lost: Callable[[], None]) -> None:
    assert process.stdout is not None
    async with messages:  # closed at the end: calls that wait for an answer fail
        try:
            while line := await process.stdout.readline():
                if line.strip():
                    await messages.send(_message(line))
        except ValueError:
            logger.warning("an MCP server wrote a line of more than %d bytes", LONGEST_LINE)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # nobody listens any more
    lost()
    while await process.stdout.read(65536):
        pass  # a server that cannot write does not end either


def _message(line: bytes) -> Inbound:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error  # some servers print things; the session passes over it


async def _write(process: Process, messages: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None
    async with messages:
        async for each in messages:
            process.stdin.write(each.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
            try:
                await process.stdin.drain()
            except OSError:
                return  # it ended; the reader sees that too


async def _end(process: Process) -> None:
    """Ask it to end; then tell it, and whatever it has started and left."""
    assert process.stdin is not None
    process.stdin.close()
    await _until(lambda: process.returncode is not None)
    if _signal(process, signal.SIGTERM):
        await _until(lambda: not _signal(process, 0))
    if _signal(process, signal.SIGKILL):
        await _until(lambda: process.returncode is not None)


async def _until(condition: Callable[[], bool]) -> None:
    # asyncio tells of the end of a process when its pipes are closed, which its children may keep open.
    with anyio.move_on_after(GRACE):
        while not condition():  # noqa: ASYNC110 - and of the end of a group nobody tells
            await anyio.sleep(0.01)


def _signal(process: Process, number: int) -> bool:
    """Send it to the group; 0 only asks whether there is one left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
        return True
    return False


class _Noise:
    """What a server writes on stderr."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = LOGGED
        self._last = b""
        self._ended = anyio.Event()

    def tail(self) -> str:
        """The last of it."""
        return self._last.decode(errors="replace").strip()

    async def wait(self) -> None:
        """Until all of it is read; children outside of the group may keep it open."""
        with anyio.move_on_after(0.5):
            await self._ended.wait()

    async def drain(self, process: Process) -> None:
        """Read all of it."""
        assert process.stderr is not None
        while chunk := await process.stderr.read(8192):
            self._last = (self._last + chunk)[-2048:]
            if self._left > 0:
                self._log(chunk[: self._left])
        self._ended.set()

    def _log(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        text = chunk.decode(errors="replace").strip()
        if text:
            logger.info("%s: %s", self._name, text)
        if self._left <= 0:
            logger.info("%s: what else it writes on stderr is dropped", self._name)
