"""A chat completion's stream to `ModelEvent`s. Sans-I/O: bytes in, in any pieces; events out.

Only the fields we use are decoded (msgspec). Servers of this kind differ, so this reads what all of them mean:

* the stream ends with ``[DONE]`` or with the response; whole it is once a finish reason was seen;
* a call's parts are told apart by index; without one, or where every call has the same, by a new id with a name;
* a call's arguments are text in pieces, or an object at once;
* reasoning comes in one of `REASONING_FIELDS`, usage in any chunk, an error as an object or as words.
"""

from typing import Any, Final

import msgspec

from flue_actors.errors import ModelError, ModelRefusedError
from flue_actors.messages import AssistantContent, StopReason, TextContent, ThinkingContent, ToolCall, Usage
from flue_actors.models.failures import broken_stream, status_error
from flue_actors.models.openai.content import REASONING_FIELDS
from flue_actors.models.protocol import (
    ModelEvent,
    ReplyDone,
    TextDelta,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
)

MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes of one event; a longer one is a broken stream."""

_DONE: Final = b"[DONE]"
_ERROR_STATUS: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "overloaded_error": 503,
    "server_overloaded": 503,
}


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _CallDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_text: str | None = None
    tool_calls: list[_CallDelta] | None = None


class _Choice(msgspec.Struct):
    index: int | None = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Cached(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Cached | None = None


class _Chunk(msgspec.Struct):
    id: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: dict[str, Any] | str | None = None


class _Call(msgspec.Struct):
    """A tool call while it grows."""

    index: int | None
    id: str
    name: str
    arguments: list[str]


class _Block(msgspec.Struct):
    """Text, or reasoning from ``field``, while it grows."""

    field: str
    parts: list[str]


# msgspec has an exception of its own for each: bad JSON, bad UTF-8, nesting deeper than the interpreter's stack.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder(_Chunk, strict=False).decode  # some count in floats, or in words
_decode_arguments = msgspec.json.Decoder(dict[str, Any]).decode


class ChatDecoder:
    """Decodes one reply. ``done`` turns true with the `ReplyDone`; bytes after it are ignored."""

    def __init__(self) -> None:
        self.done: bool = False
        self._rest = b""
        self._id = ""
        self._blocks: list[_Block] = []
        self._calls: list[_Call] = []
        self._refusal = False
        self._finish_reason = ""
        self._usage = _Usage()
        self._events: list[ModelEvent] = []
        self._text: list[str] = []

    def feed(self, data: bytes) -> list[ModelEvent]:
        """The events these bytes complete.

        Raises:
            ModelError: The provider reported an error, or the bytes make no sense (retryable).
            ModelRefusedError: The model declined to answer.
        """
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE:
            raise broken_stream(f"An event of the stream is longer than {MAX_LINE} bytes.")
        for line in lines:
            self._read(line)
        self._flush_text()
        events, self._events = self._events, []
        return events

    def finish(self) -> list[ModelEvent]:
        """The stream ended: the last events.

        Raises:
            ModelError: Before the reply was whole (retryable).
        """
        events = self.feed(b"\n")  # the last line may have no end
        if not self.done:
            self._finish()
            events += self._events
        return events

    def _read(self, line: bytes) -> None:
        if self.done or not line.startswith(b"data:"):
            return
        payload = line[5:].strip()
        if payload == _DONE:
            self._finish()
        elif payload:
            self._take(payload)

    def _take(self, payload: bytes) -> None:
        try:
            chunk = _decode(payload)
        except _UNREADABLE as error:
            raise broken_stream(f"An event of the stream cannot be read: {error}") from error
        if chunk.error is not None:
            raise _reported(chunk.error)
        self._id = self._id or chunk.id or ""
        if chunk.usage is not None:
            self._usage = chunk.usage
        for choice in chunk.choices or ():
            if not choice.index:
                self._grow(choice.delta or _Delta())
                self._finish_reason = choice.finish_reason or self._finish_reason

    def _grow(self, delta: _Delta) -> None:
        for field in REASONING_FIELDS:
            if text := getattr(delta, field):
                self._grow_block(field, text)
                break  # some servers send the same in two fields
        if delta.content:
            self._grow_block("", delta.content)
        self._refusal = self._refusal or bool(delta.refusal)
        for part in delta.tool_calls or ():
            self._close_reasoning()
            self._grow_call(part)

    def _grow_block(self, field: str, text: str) -> None:
        if not self._blocks or self._blocks[-1].field != field:
            self._close_reasoning()
            self._blocks.append(_Block(field, []))
            if field:
                self._emit(ThinkingStart())
        self._blocks[-1].parts.append(text)
        if field:
            self._emit(ThinkingDelta(text))
        else:
            self._text.append(text)

    def _close_reasoning(self) -> None:
        """Reasoning ends where something else begins; an empty block of text stands for that."""
        if self._blocks and self._blocks[-1].field:
            self._emit(ThinkingEnd("".join(self._blocks[-1].parts)))
            self._blocks.append(_Block("", []))

    def _grow_call(self, part: _CallDelta) -> None:
        function = part.function or _Function()
        call = self._call_of(part, function)
        call.id = call.id or part.id or ""
        call.name = call.name or function.name or ""
        if isinstance(function.arguments, dict):
            call.arguments.append(msgspec.json.encode(function.arguments).decode())
        elif function.arguments:
            call.arguments.append(function.arguments)

    def _call_of(self, part: _CallDelta, function: _Function) -> _Call:
        known = [call for call in self._calls if part.index is None or call.index == part.index]
        if known and not (part.id and function.name and known[-1].id not in ("", part.id)):
            return known[-1]
        self._calls.append(_Call(part.index, "", "", []))
        return self._calls[-1]

    def _finish(self) -> None:
        if not self._finish_reason:
            raise broken_stream("The stream ended before a finish reason.")
        self._close_reasoning()
        content = [part for block in self._blocks if (part := _content(block)) is not None]
        if self._finish_reason == "content_filter" or (self._refusal and not content and not self._calls):
            raise ModelRefusedError(dev=f"finish_reason is {self._finish_reason}, with a refusal: {self._refusal}")
        calls = [_tool_call(call, f"call_{self._id}_{number}") for number, call in enumerate(self._calls)]
        stop: StopReason = "toolUse" if calls else "stop"
        if self._finish_reason == "length":
            stop = "length"
        self._emit(ReplyDone(content=(*content, *calls), stop_reason=stop, usage=_total(self._usage)))
        self.done = True

    def _emit(self, event: ModelEvent) -> None:
        self._flush_text()
        self._events.append(event)

    def _flush_text(self) -> None:
        if self._text:
            self._events.append(TextDelta("".join(self._text)))
            self._text.clear()


def _content(block: _Block) -> AssistantContent | None:
    whole = "".join(block.parts)
    if block.field:
        return ThinkingContent(thinking=whole, signature=block.field)
    return TextContent(text=whole) if whole else None


def _tool_call(call: _Call, unnamed: str) -> ToolCall:
    """``unnamed`` is its id where the server gave it none."""
    raw, id = "".join(call.arguments), call.id or unnamed
    if not raw.strip():
        return ToolCall(id=id, name=call.name, arguments={})
    try:
        return ToolCall(id=id, name=call.name, arguments=_decode_arguments(raw))
    except _UNREADABLE:
        return ToolCall(id=id, name=call.name, arguments={}, invalid=raw)


def _total(counts: _Usage) -> Usage:
    """The cached part is counted in ``prompt_tokens``; here it stands apart."""
    details = counts.prompt_tokens_details or _Cached()
    prompt, output = counts.prompt_tokens or 0, counts.completion_tokens or 0
    read, written = details.cached_tokens or 0, details.cache_write_tokens or 0
    return Usage(
        input=max(0, prompt - read - written),
        output=output,
        cache_read=read,
        cache_write=written,
        total_tokens=prompt + output,
    )


def _reported(error: dict[str, Any] | str) -> ModelError:
    """An error in the middle of a stream. Its code is a status, or a word; none: something broke, so try again."""
    fields = {"message": error} if isinstance(error, str) else error
    words = str(fields.get("message", ""))
    codes = [str(code) for code in (fields.get("code"), fields.get("type")) if code]
    numbers = [int(code) for code in codes if code.isdigit()]
    named = [_ERROR_STATUS[code] for code in codes if code in _ERROR_STATUS]
    status = next((number for number in numbers + named if 400 <= number < 600), 500)
    return status_error(status, codes=codes, words=words, dev=f"{' '.join(codes)}: {words}")
