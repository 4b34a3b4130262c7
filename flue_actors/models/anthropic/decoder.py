"""The API's event stream to `ModelEvent`s. Sans-I/O: bytes in, in any pieces; events out.

Only the fields we use are decoded (msgspec, about 1 us per delta; the SDK's typed events cost 16 to 37 us). Events and
blocks of unknown types are skipped, so the provider may add some. Text deltas that arrive in one piece leave as one.
"""

from typing import Any, Final

import msgspec

from flue_actors.errors import ContextOverflowError, ModelRefusedError
from flue_actors.messages import AssistantContent, StopReason, TextContent, ThinkingContent, ToolCall, Usage
from flue_actors.models.event_stream import UNREADABLE, EventLines, Events, tool_call
from flue_actors.models.failures import broken_stream, status_error
from flue_actors.models.protocol import (
    ModelEvent,
    ReplyDone,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
)

_STOP_REASONS: Final[dict[str, StopReason]] = {
    "tool_use": "toolUse",
    "max_tokens": "length",
}
_ERROR_STATUS: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _StartedBlock(msgspec.Struct):
    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Event(msgspec.Struct):
    """Every event in one flat shape: unknown types decode too, and one decoder serves all."""

    type: str
    index: int = 0
    delta: _Delta | None = None
    content_block: _StartedBlock | None = None
    message: _Message | None = None
    usage: _Usage | None = None
    error: _Error | None = None


class _Block(msgspec.Struct):
    """A content block while it grows; ``parts`` are text, reasoning or JSON."""

    start: _StartedBlock
    parts: list[str]
    signature: str = ""


# Others who speak this protocol count in floats, and send null for what there is none of.
_decode = msgspec.json.Decoder(_Event, strict=False).decode


class StreamDecoder:
    """Decodes one reply. ``done`` turns true with the `ReplyDone`; bytes after it are ignored."""

    def __init__(self) -> None:
        self.done: bool = False
        self._lines = EventLines()
        self._blocks: dict[int, _Block] = {}
        self._usage = _Usage()
        self._stop_reason = ""
        self._events = Events()

    def feed(self, data: bytes) -> list[ModelEvent]:
        """The events these bytes complete.

        Raises:
            ModelError: The provider reported an error, or the bytes make no sense (retryable).
            ModelRefusedError: The model declined to answer.
            ContextOverflowError: The reply filled the model's window before it was whole.
        """
        for event in self._lines.feed(data):
            if not self.done:
                self._take(event)
        return self._events.take()

    def finish(self) -> list[ModelEvent]:
        """The stream ended.

        Raises:
            ModelError: Before the reply was whole (retryable).
        """
        if not self.done:
            raise self._lines.broken("message_stop")
        return []

    def _take(self, data: bytes) -> None:
        try:
            event = _decode(data)
        except UNREADABLE as error:
            raise broken_stream(f"An event of the stream cannot be read: {error}") from error
        kind = event.type
        if kind == "content_block_delta":
            self._grow(event)
        elif kind == "content_block_start":
            self._start(event)
        elif kind == "content_block_stop":
            self._stop(event.index)
        elif kind == "message_delta" or kind == "message_start":
            self._account(event)
        elif kind == "message_stop":
            self._finish()
        elif kind == "error":
            error = event.error or _Error()
            status = _ERROR_STATUS.get(error.type, 500)
            raise status_error(status, codes=(error.type,), words=error.message, dev=f"{error.type}: {error.message}")

    def _grow(self, event: _Event) -> None:
        block, delta = self._blocks.get(event.index), event.delta
        if block is None or delta is None:
            raise broken_stream(f"A delta belongs to no block ({event.index}).")
        kind = delta.type
        if kind == "text_delta" and delta.text:
            block.parts.append(delta.text)
            self._events.add_text(delta.text)
        elif kind == "input_json_delta" and delta.partial_json:
            block.parts.append(delta.partial_json)
        elif kind == "thinking_delta" and delta.thinking:
            block.parts.append(delta.thinking)
            self._events.add(ThinkingDelta(delta.thinking))
        elif kind == "signature_delta":
            block.signature += delta.signature or ""

    def _start(self, event: _Event) -> None:
        start = event.content_block
        if start is None:
            raise broken_stream("A block starts without its content.")
        block = self._blocks[event.index] = _Block(start, [], start.signature or "")
        if start.type == "thinking":
            self._events.add(ThinkingStart())
            if start.thinking:
                block.parts.append(start.thinking)
                self._events.add(ThinkingDelta(start.thinking))
        elif start.type == "text" and start.text:
            block.parts.append(start.text)
            self._events.add_text(start.text)

    def _stop(self, index: int) -> None:
        block = self._blocks.get(index)
        if block is not None and block.start.type == "thinking":
            self._events.add(ThinkingEnd("".join(block.parts)))

    def _account(self, event: _Event) -> None:
        """Counts are cumulative: the newest one stands."""
        if event.delta is not None and event.delta.stop_reason is not None:
            self._stop_reason = event.delta.stop_reason
        usage = event.message.usage if event.message is not None else event.usage
        if usage is None:
            return
        for field in usage.__struct_fields__:
            if (count := getattr(usage, field)) is not None:
                setattr(self._usage, field, count)

    def _finish(self) -> None:
        if self._stop_reason == "refusal":
            raise ModelRefusedError(dev="stop_reason is refusal")
        if self._stop_reason == "model_context_window_exceeded":
            raise ContextOverflowError(dev="stop_reason is model_context_window_exceeded")
        cut = next(reversed(self._blocks), None) if self._stop_reason == "max_tokens" else None
        parts = [_content(block, f"call_{index}", whole=index != cut) for index, block in self._blocks.items()]
        content = [part for part in parts if part is not None]
        stop_reason = _STOP_REASONS.get(self._stop_reason, "stop")
        self._events.add(ReplyDone(content=tuple(content), stop_reason=stop_reason, usage=self._total()))
        self.done = True

    def _total(self) -> Usage:
        counts = self._usage
        read, written = counts.cache_read_input_tokens or 0, counts.cache_creation_input_tokens or 0
        fresh, output = counts.input_tokens or 0, counts.output_tokens or 0
        return Usage(
            input=fresh,
            output=output,
            cache_read=read,
            cache_write=written,
            total_tokens=fresh + output + read + written,
        )


def _content(block: _Block, unnamed: str, *, whole: bool) -> AssistantContent | None:
    """The finished block; None for empty text and for types that are not ours.

    Args:
        unnamed: The id of a call that was given none.
        whole: False: the reply was cut off in it.
    """
    start, text = block.start, "".join(block.parts)
    match start.type:
        case "text":
            return TextContent(text=text) if text else None
        case "thinking":
            return ThinkingContent(thinking=text, signature=block.signature or None)
        case "redacted_thinking":
            return ThinkingContent(thinking="", redacted=start.data)
        case "tool_use":
            id, name = start.id or unnamed, start.name or ""
            if start.input and not text:
                return ToolCall(id=id, name=name, arguments=start.input)
            return tool_call(id, name, text, whole=whole)
        case _:
            return None
