"""What a sandbox and its interpreter's process say to each other: frames of a length and a MessagePack Struct.

The process runs what a model wrote, so what it says is decoded into these Structs and trusted no further.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from flue_actors.sandboxes.protocol import DirEntry, FileStat, Stream

LARGEST_FRAME: Final = 128 * 1024 * 1024
_LENGTH: Final = 4


class Open(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The first thing that is said. With a ``snapshot``, ``files`` are left out of account."""

    cwd: str
    files: Mapping[str, bytes]
    network: Sequence[str] | None
    snapshot: bytes | None
    memory: int
    commands: int
    output: int


class Exec(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Run a command."""

    command: str
    cwd: str
    env: Mapping[str, str]
    timeout: float
    streaming: bool


class Read(msgspec.Struct, tag=True, frozen=True):
    """See `Sandbox.read`. So are the others named for what they ask. All paths are absolute."""

    path: str


class Write(msgspec.Struct, tag=True, frozen=True):
    """See `Sandbox.write`."""

    path: str
    data: bytes


class Stat(msgspec.Struct, tag=True, frozen=True):
    """See `Sandbox.stat`."""

    path: str


class List(msgspec.Struct, tag=True, frozen=True):
    """See `Sandbox.list`."""

    path: str


class Mkdir(msgspec.Struct, tag=True, frozen=True):
    """See `Sandbox.mkdir`."""

    path: str


class Remove(msgspec.Struct, tag=True, frozen=True):
    """See `Sandbox.remove`."""

    path: str
    recursive: bool


class Snapshot(msgspec.Struct, tag=True, frozen=True):
    """Everything there is, if it is no more than this many bytes."""

    most: int


class Cancel(msgspec.Struct, tag=True, frozen=True):
    """End the command that was asked for under this number. Not answered itself."""

    number: int


Ask = Open | Exec | Read | Write | Stat | List | Mkdir | Remove | Snapshot | Cancel


class Request(msgspec.Struct, frozen=True):
    """Something asked, with a number that its answer repeats."""

    number: int
    ask: Ask


class Ran(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """What a command came to."""

    stdout: bytes
    stderr: bytes
    exit_code: int
    timed_out: bool
    dropped: int


class Bytes(msgspec.Struct, tag=True, frozen=True):
    """The bytes that were asked for."""

    data: bytes


class Found(msgspec.Struct, tag=True, frozen=True):
    """What stands at a path."""

    stat: FileStat | None


class Names(msgspec.Struct, tag=True, frozen=True):
    """What a directory holds."""

    entries: tuple[DirEntry, ...]


class Done(msgspec.Struct, tag=True, frozen=True):
    """It was done."""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """It was not. ``of_file``: because of a path."""

    message: str
    of_file: bool = False


class Output(msgspec.Struct, tag=True, frozen=True):
    """A piece of a running command's output: not its answer."""

    stream: Stream
    data: bytes


Reply = Ran | Bytes | Found | Names | Done | Failed


class Answer(msgspec.Struct, frozen=True):
    """What is said to a request."""

    number: int
    says: Reply | Output


_encode: Final = msgspec.msgpack.Encoder().encode
_request: Final = msgspec.msgpack.Decoder(Request).decode
_answer: Final = msgspec.msgpack.Decoder(Answer).decode


def frame(said: Request | Answer) -> bytes:
    """As it goes over the line."""
    body = _encode(said)
    return len(body).to_bytes(_LENGTH) + body


class Frames:
    """What comes over the line, cut into what was said. It holds no more than one frame that is not whole yet."""

    def __init__(self) -> None:
        self._came = bytearray()

    def requests(self, data: bytes) -> Iterator[Request]:
        """What is asked, of the bytes that came now and before."""
        return map(_request, self._whole(data))

    def answers(self, data: bytes) -> Iterator[Answer]:
        """The same of answers. Raises EOFError where it makes no sense."""
        try:
            yield from map(_answer, self._whole(data))
        except msgspec.MsgspecError as error:
            raise EOFError from error

    def _whole(self, data: bytes) -> Iterator[bytes]:
        self._came += data
        while len(self._came) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._came[:_LENGTH])
            if end > _LENGTH + LARGEST_FRAME:
                raise EOFError
            if len(self._came) < end:
                return
            body = bytes(self._came[_LENGTH:end])
            del self._came[:end]
            yield body
