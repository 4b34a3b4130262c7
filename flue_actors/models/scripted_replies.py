"""What a scripted model answers: names, texts, replies, events, usage. Pure; `scripted` performs them."""

import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from flue_actors.errors import ConfigError
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
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.protocol import (
    ModelEvent,
    ModelRequest,
    ReplyDone,
    TextDelta,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
)
from flue_actors.models.script import Step

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
_OPTIONS: Final = ("deltas", "rate", "size", "window", "native")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


class ScriptedName(msgspec.Struct, frozen=True):
    """A scripted model's name, taken apart.

    ``rate`` in deltas per second (0 = no pauses), ``size`` in characters, ``window`` in tokens (0 = without end);
    ``native``: it promises results of a schema.
    """

    base: str
    deltas: int = 200
    rate: float = 0
    size: int = 20
    window: int = 0
    native: bool = False

    @property
    def info(self) -> ModelInfo:
        """What the catalog would say of it."""
        return ModelInfo(context_window=self.window, native_results=self.native)


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
    if unknown := options.keys() - set(_OPTIONS):
        raise ConfigError(f'"scripted/{model}" has no option {min(unknown)!r}; there are: {", ".join(_OPTIONS)}.')
    if min(name.deltas, name.window) < 0 or name.size < 1 or not 0 <= name.rate < float("inf"):
        raise ConfigError(f'"scripted/{model}": deltas, rate and window must not be negative, size at least 1.')
    return name


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
    """Four characters are a token, rounded up: deterministic, and about right for English.

    What the last reply accounted for is not counted again, so a long history costs no more than a short one.
    """
    characters, tokens = 0, 0
    for message in reversed(request.messages):
        if isinstance(message, AssistantMessage):
            if tokens := message.usage.total_tokens:
                break
            characters += _size_of(message.content)
        else:
            characters += len(text_of(message))
    else:
        characters += _size_of_prompt(request)
    tokens_in, tokens_out = tokens + _tokens(characters), _tokens(_size_of(content))
    return Usage(input=tokens_in, output=tokens_out, total_tokens=tokens_in + tokens_out)


def context_tokens(request: ModelRequest) -> int:
    """What the model has to read, all of it counted anew: a history that was summarised is as short as it looks."""
    characters = _size_of_prompt(request)
    for message in request.messages:
        characters += _size_of(message.content) if isinstance(message, AssistantMessage) else len(text_of(message))
    return _tokens(characters)


def counted_anew(reply: ReplyDone, request: ModelRequest) -> ReplyDone:
    """The reply with the usage of its real context, whatever earlier replies accounted for."""
    tokens_in = context_tokens(request)
    usage = Usage(input=tokens_in, output=reply.usage.output, total_tokens=tokens_in + reply.usage.output)
    return msgspec.structs.replace(reply, usage=usage)


def _finished(content: tuple[AssistantContent, ...], request: ModelRequest, stop: StopReason = "stop") -> ReplyDone:
    if any(isinstance(block, ToolCall) for block in content):
        stop = "toolUse"
    return ReplyDone(content=content, stop_reason=stop, usage=estimated_usage(request, content))


def step_reply(step: Step, answer: str, request: ModelRequest) -> ReplyDone:
    """The reply a step asks for; ``answer`` is the text where the step only answers."""
    content: list[AssistantContent] = []
    if step.think:
        content.append(ThinkingContent(thinking=step.think, signature="scripted"))
    shown = len(request.messages)
    text = answer if step.answer is None else step.answer
    if step.ending in ("length", "refuse"):
        text = text[: len(text) // 2]
    if step.calls:
        text = step.answer or ""
    if step.ending != "empty" and text:
        content.append(TextContent(text=text))
    for index, call in enumerate(step.calls):
        content.append(
            ToolCall(id=f"call_{shown}_{index}", name=call.tool, arguments=call.arguments, invalid=call.invalid)
        )
    return _finished(tuple(content), request, "length" if step.ending == "length" else "stop")


def answer_text(name: ScriptedName, text: str, shown: int) -> str:
    """What the model says to a text when shown so many messages."""
    if name.base == "echo":
        return f"echo: {text} ({shown} messages)"
    if name.base == "jokes":
        return JOKES[zlib.crc32(text.encode()) % len(JOKES)]
    size = name.deltas * name.size
    return (_LETTERS * (size // len(_LETTERS) + 1))[:size]


def newest_text(messages: Sequence[Message]) -> tuple[str, str]:
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


def rounds_so_far(messages: Sequence[Message]) -> int:
    """Replies since the newest user message or signal."""
    rounds = 0
    for message in reversed(messages):
        if not _is_reply(message):
            break
        rounds += isinstance(message, AssistantMessage)
    return rounds


def _is_reply(message: Message) -> bool:
    return isinstance(message, AssistantMessage | ToolResultMessage)


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


def _size_of_prompt(request: ModelRequest) -> int:
    texts = len(request.instructions) + len(request.instance_text)
    return texts + sum(len(tool.name) + len(tool.description) for tool in request.tools)


def _tokens(characters: int) -> int:
    return -(-characters // 4)
