"""What every provider's stream has in common: lines of bytes in, events out. Pure."""

from typing import Any, Final

import msgspec

from flue_actors.errors import ModelError
from flue_actors.messages import ToolCall
from flue_actors.models.failures import broken_stream
from flue_actors.models.protocol import ModelEvent, TextDelta

MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes of one event; a longer one is a broken stream."""

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""msgspec has an exception of its own for each: bad JSON, bad UTF-8, nesting deeper than the interpreter's stack."""

_SHOWN: Final = 200
_FIELDS: Final = (b":", b"event", b"id", b"retry")
_decode_arguments = msgspec.json.Decoder(dict[str, Any]).decode


class EventLines:
    """Bytes, in any pieces, to the data of server-sent events."""

    def __init__(self) -> None:
        self._rest = b""
        self._strange = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The data that these bytes complete.

        Raises:
            ModelError: An endless line (retryable).
        """
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE:
            raise broken_stream(f"An event of the stream is longer than {MAX_LINE} bytes.")
        found: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                found.append(line[5:])
            elif not self._strange and line.strip() and not line.startswith(_FIELDS):
                self._strange = line[:_SHOWN]
        return found

    def broken(self, missing: str) -> ModelError:
        """The error for a stream that ended without what is missing. A proxy's page or answer is shown in the log."""
        strange = self._strange or self._rest[:_SHOWN]
        said = f" What came is no event: {strange.decode(errors='replace')}" if strange.strip() else ""
        return broken_stream(f"The stream ended before {missing}.{said}")


class Events:
    """What is to be sent on. Neighbouring deltas of text leave as one."""

    def __init__(self) -> None:
        self._events: list[ModelEvent] = []
        self._text: list[str] = []

    def add_text(self, text: str) -> None:
        """More of the reply."""
        self._text.append(text)

    def add(self, event: ModelEvent) -> None:
        """Anything but text."""
        self._flush()
        self._events.append(event)

    def take(self) -> list[ModelEvent]:
        """Everything so far, once."""
        self._flush()
        events, self._events = self._events, []
        return events

    def _flush(self) -> None:
        if self._text:
            self._events.append(TextDelta("".join(self._text)))
            self._text.clear()


def is_object(raw: str) -> bool:
    """Whether this is the JSON of a whole object."""
    return _object(raw) is not None


def tool_call(id: str, name: str, raw: str, *, whole: bool = True) -> ToolCall:
    """The call with these arguments as JSON; what is no object is kept as it is.

    Args:
        raw: Empty: it has no arguments.
        whole: False: the reply was cut off in this call, which so may lack all of them.
    """
    if whole and not raw.strip():
        return ToolCall(id=id, name=name, arguments={})
    arguments = _object(raw)
    if arguments is None:
        return ToolCall(id=id, name=name, arguments={}, invalid=raw)
    return ToolCall(id=id, name=name, arguments=arguments)


def _object(raw: str) -> dict[str, Any] | None:
    try:
        return _decode_arguments(raw)
    except UNREADABLE:
        return None
