"""One command in an interpreter: run, timed, ended, and the last of its output kept."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, cast

import bashkit

from flue_actors.sandboxes.protocol import TIMED_OUT, Stream
from flue_actors.sandboxes.virtual import wire

_KEPT_BY_BASHKIT: Final = 1024 * 1024
"""Bytes of each stream; it drops what comes after them, and does not tell how much that was."""
_CUT: Final = b"\n[output beyond the first MiB was thrown away]\n"


class _Exact(Protocol):
    """What a `bashkit.ExecResult` has that its stubs leave out."""

    stdout_bytes: bytes
    stderr_bytes: bytes


class Command:
    """One command that runs: what it has printed so far, and how to end it."""

    def __init__(self, shell: bashkit.Bash, stream: Callable[[wire.Output], None] | None, most: int) -> None:
        self._shell = shell
        self._stream = stream
        self._most = most
        self._printed: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._running: asyncio.Future[bashkit.ExecResult] | None = None
        self._ended = False

    def end(self) -> None:
        """Stop it where it is."""
        self._ended = True
        self._shell.cancel()  # between two commands
        if self._running is not None:
            self._running.cancel()  # inside one that waits

    async def run(self, command: str, timeout: float) -> wire.Ran:
        """Run it to its end, or for so many seconds."""
        if self._ended:  # before it began
            return self._ran(TIMED_OUT)
        timer = asyncio.get_running_loop().call_later(timeout, self.end)
        try:
            self._running = asyncio.ensure_future(self._begin(command))
            result = await self._running
        except UnicodeError:
            self._printed["stderr"] += b"not valid text"
            return self._ran(2)
        except asyncio.CancelledError:
            if not self._ended:
                raise
            return self._ran(TIMED_OUT)
        finally:
            timer.cancel()
        self._take(result)
        return self._ran(TIMED_OUT if self._ended else result.exit_code & 0xFF)

    def _begin(self, command: str) -> Awaitable[bashkit.ExecResult]:
        if self._stream is None:
            return self._shell.execute(command, on_output=self._hear)
        return self._shell.execute(command, stdout=self._sink("stdout"), stderr=self._sink("stderr"), capture=0)

    def _hear(self, out: str, err: str) -> None:
        # Only for a command that fails or is stopped, of which bashkit hands over nothing: else what it hands over at
        # the end is exact. Sinks always are, and cost 0.3 ms: each piece waits for the loop.
        self._printed["stdout"] += out.encode()
        self._printed["stderr"] += err.encode()

    def _sink(self, name: Stream) -> Callable[[bytes], Awaitable[None]]:
        async def take(data: bytes) -> None:
            self._printed[name] += data
            if self._stream is not None:
                self._stream(wire.Output(name, data))

        return take

    def _take(self, result: bashkit.ExecResult) -> None:
        if result.error and not self._ended:
            self._printed["stderr"] += result.error.encode() + b"\n"
        elif self._stream is None and not self._ended:
            exact = cast("_Exact", result)
            self._printed = {"stdout": bytearray(exact.stdout_bytes), "stderr": bytearray(exact.stderr_bytes)}
        if any(len(printed) >= _KEPT_BY_BASHKIT for printed in self._printed.values()):
            self._printed["stderr"] += _CUT

    def _ran(self, exit_code: int) -> wire.Ran:
        out, err = (bytes(printed[-self._most :]) for printed in self._printed.values())
        return wire.Ran(
            stdout=out,
            stderr=err,
            exit_code=exit_code,
            timed_out=self._ended,
            dropped=sum(map(len, self._printed.values())) - len(out) - len(err),
        )
