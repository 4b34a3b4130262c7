"""One command in an interpreter: run, timed, ended, and the last of its output kept."""

import asyncio
from collections.abc import Awaitable, Callable

import bashkit

from flue_actors.sandboxes.protocol import TIMED_OUT, Stream
from flue_actors.sandboxes.virtual import wire


class Command:
    """One command that runs: what it has printed so far, and how to end it."""

    def __init__(self, shell: bashkit.Bash, stream: Callable[[wire.Output], None] | None, most: int) -> None:
        self._shell = shell
        self._stream = stream
        self._kept: dict[Stream, Tail] = {"stdout": Tail(most), "stderr": Tail(most)}
        self._ended = False

    def end(self) -> None:
        """Stop it where it is."""
        self._ended = True
        self._shell.cancel()

    async def run(self, command: str, timeout: float) -> wire.Ran:
        """Run it to its end, or for so many seconds."""
        out, err = self._kept["stdout"], self._kept["stderr"]
        if self._ended:  # before it began
            return wire.Ran(stdout=b"", stderr=b"", exit_code=TIMED_OUT, timed_out=True, dropped=0)
        timer = asyncio.get_running_loop().call_later(timeout, self.end)
        try:
            result = await self._shell.execute(
                command, stdout=self._sink("stdout"), stderr=self._sink("stderr"), capture=0
            )
        except UnicodeError:
            return wire.Ran(stdout=b"", stderr=b"not valid text", exit_code=2, timed_out=False, dropped=0)
        finally:
            timer.cancel()
        if result.error and not self._ended:
            err.add(result.error.encode() + b"\n")
        code = TIMED_OUT if self._ended else result.exit_code & 0xFF
        return wire.Ran(
            stdout=out.bytes(),
            stderr=err.bytes(),
            exit_code=code,
            timed_out=self._ended,
            dropped=out.dropped + err.dropped,
        )

    def _sink(self, name: Stream) -> Callable[[bytes], Awaitable[None]]:
        kept, stream = self._kept[name], self._stream

        async def take(data: bytes) -> None:
            kept.add(data)
            if stream is not None:
                stream(wire.Output(name, data))

        return take


class Tail:
    """The last bytes of a stream, at most so many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = bytearray()
        self.dropped = 0

    def add(self, data: bytes) -> None:
        """Take what came."""
        self._kept += data
        if len(self._kept) > 2 * self._most:
            self._trim()

    def bytes(self) -> bytes:
        """What is kept."""
        self._trim()
        return bytes(self._kept)

    def _trim(self) -> None:
        over = len(self._kept) - self._most
        if over > 0:
            del self._kept[:over]
            self.dropped += over
