"""What a model is shown of a text that is too long: whole lines of its head or tail, measured in bytes of UTF-8. Pure."""

from typing import Final

import msgspec

LINES: Final = 2_000
BYTES: Final = 51_200


class Shown(msgspec.Struct, frozen=True):
    """A part of a text.

    Attributes:
        text: The part: whole lines, except where one line alone is longer than the limit.
        lines: How many lines it has, a cut one included.
        total_lines, total_bytes: Of the whole text.
    """

    text: str
    lines: int
    total_lines: int
    total_bytes: int

    @property
    def is_cut(self) -> bool:
        """True when something was left out."""
        return len(self.text.encode()) < self.total_bytes


def head(text: str, *, lines: int = LINES, size: int = BYTES) -> Shown:
    """The first lines, at most ``lines`` of them and ``size`` bytes. Of a longer first line its beginning.

    Args:
        text: Valid Unicode.
    """
    data = text.encode()
    end = len(data)
    if end > size:
        end = data.rfind(b"\n", 0, size + 1)
        end = min(end + 1, size) if end >= 0 else _boundary_before(data, size)
    at = -1
    for _ in range(lines):
        at = data.find(b"\n", at + 1, end)
        if at < 0:
            break
    return _shown(data, 0, end if at < 0 else at + 1)


def tail(text: str, *, lines: int = LINES, size: int = BYTES) -> Shown:
    """The last lines, at most ``lines`` of them and ``size`` bytes. Of a longer last line its end.

    Args:
        text: Valid Unicode.
    """
    data = text.encode()
    start = 0
    if len(data) > size:
        start = len(data) - size
        if data[start - 1] != 0x0A:
            newline = data.find(b"\n", start, len(data) - 1)
            start = newline + 1 if newline >= 0 else _boundary_after(data, start)
    at = len(data) - 1 if data.endswith(b"\n") else len(data)
    for _ in range(lines):
        at = data.rfind(b"\n", start, at)
        if at < 0:
            break
    return _shown(data, start if at < 0 else at + 1, len(data))


def clipped(line: str, size: int) -> str:
    """A line of at most ``size`` bytes; of a longer one the beginning and "..."."""
    data = line.encode()
    return line if len(data) <= size else data[: _boundary_before(data, size)].decode() + "..."


def _shown(data: bytes, start: int, end: int) -> Shown:
    part = data[start:end]
    return Shown(part.decode(), _lines(part), _lines(data), len(data))


def _lines(data: bytes) -> int:
    return data.count(b"\n") + (1 if data and not data.endswith(b"\n") else 0)


def _boundary_before(data: bytes, at: int) -> int:
    """The end of the last whole character at or before this place."""
    while at > 0 and at < len(data) and data[at] & 0xC0 == 0x80:
        at -= 1
    return at


def _boundary_after(data: bytes, at: int) -> int:
    """The beginning of the first whole character at or after this place."""
    while at < len(data) and data[at] & 0xC0 == 0x80:
        at += 1
    return at
