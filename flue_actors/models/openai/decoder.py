"""A chat completion's stream to `ModelEvent`s. Sans-I/O: bytes in, in any pieces; events out.

Only the fields we use are decoded (msgspec). Servers of this kind differ, so this reads what all of them mean:

* the stream ends with ``[DONE]`` or with the response; whole it is once a finish reason was seen;
* a call's parts are told apart by index; without one, or where every call has the same, by a new id with a name;
* a call's arguments are text in pieces, or an object at once;
* reasoning comes in one of `REASONING_FIELDS`, usage in any chunk, an error as an object or as words.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from flue_actors.errors import ModelError, ModelRefusedError
from flue_actors.messages import AssistantContent, StopReason, TextContent, ThinkingContent, Usage
from flue_actors.models.event_stream import UNREADABLE, EventLines, Events, is_object, tool_call
from flue_actors.models.failures import broken_stream, status_error
from flue_actors.models.openai.content import REASONING_FIELDS
from flue_actors.models.protocol import (
    ModelEvent,
    ReplyDone,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
)

_DONE: Final = b"[DONE]"
_IN_CONTENT: Final = "content"
"""Where reasoning came from that has no field of its own: nowhere to send it back to."""

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


class _Part(msgspec.Struct):
    """A piece of content that has a type of its own (Mistral)."""

    text: str | None = None
    thinking: "str | list[_Part] | None" = None


class _Delta(msgspec.Struct):
    content: str | list[_Part] | None = None
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
    total_tokens: int | None = None
    prompt_tokens_details: _Cached | None = None
    cached_tokens: int | None = None  # Moonshot
    prompt_cache_hit_tokens: int | None = None  # DeepSeek


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


_decode = msgspec.json.Decoder(_Chunk, strict=False).decode  # some count in floats, or in words


class ChatDecoder:
    """Decodes one reply. ``done`` turns true with the `ReplyDone`; bytes after it are ignored."""

    def __init__(self) -> None:
        self.done: bool = False
        self._lines = EventLines()
        self._id = ""
        self._blocks: list[_Block] = []
        self._calls: list[_Call] = []
        self._refusal = False
        self._finish_reason = ""
        self._usage = _Usage()
        self._events = Events()

    def feed(self, data: bytes) -> list[ModelEvent]:
        """The events these bytes complete.

        Raises:
            ModelError: The provider reported an error, or the bytes make no sense (retryable).
            ModelRefusedError: The model declined to answer.
        """
        for event in self._lines.feed(data):
            self._read(event.strip())
        return self._events.take()

    def finish(self) -> list[ModelEvent]:
        """The stream ended: the last events.

        Raises:
            ModelError: Before the reply was whole (retryable).
        """
        events = self.feed(b"\n")  # the last line may have no end
        if not self.done:
            self._finish()
            events += self._events.take()
        return events

    def _read(self, data: bytes) -> None:
        if self.done or not data:
            return
        if data == _DONE:
            self._finish()
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            chunk = _decode(data)
        except UNREADABLE as error:
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
        for field, text in _said(delta.content):
            self._grow_block(field, text)
        self._refusal = self._refusal or bool(delta.refusal)
        for part in delta.tool_calls or ():
            self._close_reasoning()
            self._grow_call(part)

    def _grow_block(self, field: str, text: str) -> None:
        if not self._blocks or self._blocks[-1].field != field:
            self._close_reasoning()
            self._blocks.append(_Block(field, []))
            if field:
                self._events.add(ThinkingStart())
        self._blocks[-1].parts.append(text)
        if field:
            self._events.add(ThinkingDelta(text))
        else:
            self._events.add_text(text)

    def _close_reasoning(self) -> None:
        """Reasoning ends where something else begins; an empty block of text stands for that."""
        if self._blocks and self._blocks[-1].field:
            self._events.add(ThinkingEnd("".join(self._blocks[-1].parts)))
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
        if known and not (function.name and _is_another(known[-1], part.id)):
            return known[-1]
        self._calls.append(_Call(part.index, "", "", []))
        return self._calls[-1]

    def _finish(self) -> None:
        if not self._finish_reason:
            raise self._lines.broken("a finish reason")
        self._close_reasoning()
        content = [part for block in self._blocks if (part := _content(block)) is not None]
        if self._finish_reason == "content_filter" or (self._refusal and not content and not self._calls):
            raise ModelRefusedError(dev=f"finish_reason is {self._finish_reason}, with a refusal: {self._refusal}")
        cut_off = self._finish_reason == "length"
        calls = [
            tool_call(
                call.id or f"call_{self._id}_{number}",
                call.name,
                "".join(call.arguments),
                whole=not cut_off or call is not self._calls[-1],
            )
            for number, call in enumerate(self._calls)
        ]
        stop: StopReason = "length" if cut_off else "toolUse" if calls else "stop"
        self._events.add(ReplyDone(content=(*content, *calls), stop_reason=stop, usage=_total(self._usage)))
        self.done = True


def _is_another(call: _Call, id: str | None) -> bool:
    """Whether a name begins another call: it has an id of its own, or this call has all of its arguments."""
    return call.id != id if id and call.id else is_object("".join(call.arguments))


def _content(block: _Block) -> AssistantContent | None:
    whole = "".join(block.parts)
    if block.field:
        return ThinkingContent(thinking=whole, signature=block.field)
    return TextContent(text=whole) if whole else None


def _said(content: str | list[_Part] | None) -> Iterator[tuple[str, str]]:
    """Field and text of what a delta says."""
    if isinstance(content, str):
        if content:
            yield "", content
        return
    for part in content or ():
        for _, text in _said(part.thinking):
            yield _IN_CONTENT, text
        if part.text:
            yield "", part.text


def _total(counts: _Usage) -> Usage:
    """The cached part is counted in ``prompt_tokens``; here it stands apart.

    Some (xAI, Gemini) count reasoning, which costs as much as the answer, in the total alone.
    """
    details, prompt = counts.prompt_tokens_details or _Cached(), counts.prompt_tokens or 0
    output = max(counts.completion_tokens or 0, (counts.total_tokens or 0) - prompt)
    read = details.cached_tokens or counts.cached_tokens or counts.prompt_cache_hit_tokens or 0
    written = details.cache_write_tokens or 0
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
