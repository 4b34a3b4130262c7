"""The ``scripted/`` provider: real model clients in this process, without network, for demos, tests and benchmarks.

| name | answers |
|---|---|
| ``scripted/echo`` | ``echo: <text> (<n> messages)``: the text it was sent and how many messages it was shown |
| ``scripted/jokes`` | a short friendly joke, always the same one for the same text |
| ``scripted/paced`` | ``deltas`` x ``size`` letters: ``scripted/paced?deltas=200&rate=30&size=20`` |

``<text>`` is the text of the newest user message (or signal), or, after tools ran, the results' texts joined by newlines.
Options follow a ``?`` on any of them: ``rate`` (deltas per second; 0 = as fast as possible), ``size`` (characters per
delta), ``deltas`` (only ``paced``). Defaults: rate 0, size 20, and for ``paced`` 200 deltas at 30 per second.

A user's text can make any of them call tools, think, wait and fail: `flue_actors.models.script` is the table.
Usage is a quarter of the characters, without prices: ``usage.cost`` is None.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from flue_actors.errors import ConfigError, FlueError, ModelError, ModelRefusedError
from flue_actors.messages import (
    AssistantContent,
    AssistantMessage,
    Message,
    SignalMessage,
    StopReason,
    TextContent,
    ThinkingContent,
    ToolCall,
    ToolResultMessage,
    Usage,
    text_of,
)
from flue_actors.models.failures import broken_stream, status_error
from flue_actors.models.protocol import (
    ModelEvent,
    ModelRequest,
    ReplyDone,
    TextDelta,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
)
from flue_actors.models.script import Fault, Step, parse_script, step_at

API: Final = "scripted"
JOKES: Final = (
    "Why did the actor cross the road? There was a message waiting in its mailbox.",
    "I told my cat a joke about mice. She said it was a bit cheesy.",
    "What do you call a fish without eyes? A fsh.",
    "Why do bees hum? They never learned the words.",
    "My calendar's days are numbered, but it stays cheerful about it.",
    "What is brown and sticky? A stick.",
    "Parallel lines have so much in common. It is a pity they will never meet.",
    "I would tell you a joke about UDP, but you might not get it.",
)
_NAMES: Final = ("echo", "jokes", "paced")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_MAX_FAILING: Final = 10_000


class ScriptedName(msgspec.Struct, frozen=True):
    """A scripted model's name, taken apart. ``rate`` in deltas per second (0 = no pauses), ``size`` in characters."""

    base: str
    deltas: int = 200
    rate: float = 0
    size: int = 20


@lru_cache(maxsize=256)
def scripted_name(model: str) -> ScriptedName:
    """Parse ``paced?deltas=200&rate=30``.

    Raises:
        ConfigError: Unknown model or option, or a value out of range.
    """
    base, _, query = model.partition("?")
    if base not in _NAMES:
        raise ConfigError(f'There is no model "scripted/{model}"; there are: {", ".join(_NAMES)}.')
    options = {"rate": "30" if base == "paced" else "0", **dict(parse_qsl(query, keep_blank_values=True))}
    try:
        name = msgspec.convert({"base": base, **options}, ScriptedName, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f'The options of "scripted/{model}" are not valid: {error}.') from error
    if unknown := options.keys() - {"deltas", "rate", "size"}:
        raise ConfigError(f'"scripted/{model}" has no option {sorted(unknown)[0]!r}; it has deltas, rate and size.')
    if name.deltas < 0 or name.size < 1 or not 0 <= name.rate < float("inf"):
        raise ConfigError(f'"scripted/{model}": deltas and rate must not be negative, size at least 1.')
    return name


class ScriptedProvider:
    """The client behind ``scripted/...``. Its only state: how often a failing request was tried."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[str, int, str], int] = {}

    @property
    def api(self) -> str:
        """``scripted``."""
        return API

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Do what the newest user text asks for; see the module's table."""
        name = scripted_name(request.model)
        script, shown = _newest_text(request.messages)
        rounds = _rounds(request.messages)
        step = step_at(parse_script(script), rounds)
        fault = self._fault(step, (request.affinity, len(request.messages), script))
        if step.wait:
            await asyncio.sleep(step.wait)
        if fault is not None and fault.kind != "half":
            await _fail(fault)
        reply = _reply(step, _answer(name, shown, len(request.messages)), request)
        events = list(reply_events(reply, size=name.size))
        if fault is not None:
            events = events[: len(events) // 2]
        pace = _Pace(name.rate)
        for event in events:
            if name.rate and isinstance(event, TextDelta | ThinkingDelta):
                await pace.tick()
            yield event
        if fault is not None:
            raise broken_stream("The script asked for half an answer.")
        if step.ending == "refuse":
            raise ModelRefusedError(dev="The script asked for a refusal.")

    async def aclose(self) -> None:
        """Nothing to close."""

    def _fault(self, step: Step, key: tuple[str, int, str]) -> Fault | None:
        if not step.faults:
            return None
        attempt = self._attempts.pop(key, 0)
        fault = step.fault(attempt)
        if fault is not None and fault.attempts is not None:
            self._attempts[key] = attempt + 1
            while len(self._attempts) > _MAX_FAILING:
                del self._attempts[next(iter(self._attempts))]
        return fault


Reply = (
    str
    | ToolCall
    | Sequence[AssistantContent]
    | ReplyDone
    | FlueError
    | Callable[[ModelRequest], AsyncIterator[ModelEvent]]
)
"""What a `ScriptedModel` plays: text, one call, several blocks, a whole reply, an error, or a stream of your own."""


class ScriptedModel:
    """A `ModelClient` that plays the given replies in order and records what it was asked.

    Attributes:
        requests: Every request, in order.
        closed: Streams that were left before their end (aborted, timed out).
    """

    def __init__(self, replies: Sequence[Reply] = (), *, size: int = 20) -> None:
        self.requests: list[ModelRequest] = []
        self.closed: int = 0
        self._replies: list[Reply] = list(replies)
        self._size = size

    @property
    def api(self) -> str:
        """``scripted``."""
        return API

    def add(self, *replies: Reply) -> None:
        """Put more replies behind those still to come."""
        self._replies += replies

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Play the next reply.

        Raises:
            ModelError: The next reply is an error, or none is left.
        """
        self.requests.append(request)
        if not self._replies:
            raise ModelError(dev=f"ScriptedModel has no reply left for request {len(self.requests)}.")
        reply = self._replies.pop(0)
        if isinstance(reply, FlueError):
            raise reply
        ended = False
        try:
            if isinstance(reply, Callable):
                async for event in reply(request):
                    yield event
            else:
                for event in reply_events(_whole(reply, request), size=self._size):
                    yield event
            ended = True
        finally:
            self.closed += not ended

    async def aclose(self) -> None:
        """Nothing to close."""


def reply_events(reply: ReplyDone, *, size: int = 20) -> Iterator[ModelEvent]:
    """The events that stream this reply, text in deltas of ``size`` characters; the last one is the reply itself."""
    for block in reply.content:
        if isinstance(block, TextContent):
            yield from map(TextDelta, _pieces(block.text, size))
        elif isinstance(block, ThinkingContent):
            yield ThinkingStart()
            yield from map(ThinkingDelta, _pieces(block.thinking, size))
            yield ThinkingEnd(block.thinking)
    yield reply


def estimated_usage(request: ModelRequest, content: Sequence[AssistantContent]) -> Usage:
    """Four characters are a token, rounded up: deterministic, and about right for English."""
    shown = len(request.instructions) + len(request.instance_text)
    shown += sum(len(tool.name) + len(tool.description) for tool in request.tools)
    for message in request.messages:
        shown += _size_of(message.content) if isinstance(message, AssistantMessage) else len(text_of(message))
    tokens_in, tokens_out = _tokens(shown), _tokens(_size_of(content))
    return Usage(input=tokens_in, output=tokens_out, total_tokens=tokens_in + tokens_out)


def _whole(reply: str | ToolCall | Sequence[AssistantContent] | ReplyDone, request: ModelRequest) -> ReplyDone:
    if isinstance(reply, ReplyDone):
        return reply
    if isinstance(reply, str):
        content: tuple[AssistantContent, ...] = (TextContent(text=reply),)
    elif isinstance(reply, ToolCall):
        content = (reply,)
    else:
        content = tuple(reply)
    return _done(content, request)


def _done(content: tuple[AssistantContent, ...], request: ModelRequest, stop: StopReason = "stop") -> ReplyDone:
    if any(isinstance(block, ToolCall) for block in content):
        stop = "toolUse"
    return ReplyDone(content=content, stop_reason=stop, usage=estimated_usage(request, content))


def _reply(step: Step, answer: str, request: ModelRequest) -> ReplyDone:
    content: list[AssistantContent] = []
    if step.think:
        content.append(ThinkingContent(thinking=step.think, signature="scripted"))
    shown = len(request.messages)
    for index, call in enumerate(step.calls):
        content.append(
            ToolCall(id=f"call_{shown}_{index}", name=call.tool, arguments=call.arguments, invalid=call.invalid)
        )
    if step.ending in ("length", "refuse"):
        answer = answer[: len(answer) // 2]
    if not step.calls and step.ending != "empty" and answer:
        content.append(TextContent(text=answer))
    return _done(tuple(content), request, "length" if step.ending == "length" else "stop")


def _answer(name: ScriptedName, text: str, shown: int) -> str:
    if name.base == "echo":
        return f"echo: {text} ({shown} messages)"
    if name.base == "jokes":
        return JOKES[zlib.crc32(text.encode()) % len(JOKES)]
    size = name.deltas * name.size
    return (_LETTERS * (size // len(_LETTERS) + 1))[:size]


def _newest_text(messages: Sequence[Message]) -> tuple[str, str]:
    """The text that holds the script, and the text to answer: the results', once tools ran."""
    results: list[str] = []
    replied = False
    for message in reversed(messages):
        if isinstance(message, AssistantMessage):
            replied = True
        elif isinstance(message, ToolResultMessage):
            if not replied:
                results.append(text_of(message))
        else:
            return _spoken(message), "\n".join(reversed(results)) if results else text_of(message)
    return "", "\n".join(reversed(results))


def _spoken(message: Message) -> str:
    """A dispatched JSON string speaks like a user's text."""
    if isinstance(message, SignalMessage) and message.content.startswith('"'):
        try:
            return msgspec.json.decode(message.content, type=str)
        except msgspec.DecodeError:
            return message.content
    return text_of(message)


def _rounds(messages: Sequence[Message]) -> int:
    """Replies since the newest user message or signal."""
    rounds = 0
    for message in reversed(messages):
        if not _is_reply(message):
            break
        rounds += isinstance(message, AssistantMessage)
    return rounds


def _is_reply(message: Message) -> bool:
    return isinstance(message, AssistantMessage | ToolResultMessage)


async def _fail(fault: Fault) -> None:
    if fault.kind == "hang":
        await asyncio.Event().wait()
    raise status_error(fault.status, retry_after=fault.retry_after, dev="The script asked for it.")


class _Pace:
    """A fixed timetable of ticks, so a slow reader is not slowed down twice."""

    def __init__(self, rate: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._due = self._clock()
        self._gap = 1 / rate if rate else 0

    async def tick(self) -> None:
        self._due += self._gap
        if (pause := self._due - self._clock()) > 0:
            await asyncio.sleep(pause)


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def _size_of(content: Sequence[AssistantContent]) -> int:
    size = 0
    for block in content:
        if isinstance(block, TextContent):
            size += len(block.text)
        elif isinstance(block, ThinkingContent):
            size += len(block.thinking)
        else:
            size += len(block.name) + len(str(block.arguments))
    return size


def _tokens(characters: int) -> int:
    return -(-characters // 4)
