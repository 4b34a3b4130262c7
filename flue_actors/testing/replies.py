"""How a test writes down what a model answers. Pure; `flue_actors.testing.models` plays it.

| written as | answers |
|---|---|
| ``"Hello!"`` | text |
| ``calls("add", a=1, b=2)`` | one tool call |
| ``(calls("add", a=1), calls("add", a=2), "On it.")`` | several parts, in this order |
| ``reply("Hel", usage=Usage(output=3), stop_reason="length")`` | parts with their usage and stop reason |
"""

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from flue_actors.messages import AssistantContent, StopReason, TextContent, ThinkingContent, ToolCall, Usage
from flue_actors.models.protocol import ModelRequest, ReplyDone
from flue_actors.models.scripted_replies import estimated_usage

Part = str | AssistantContent
"""A string is a block of text."""


class Reply(msgspec.Struct, frozen=True):
    """See `reply`."""

    parts: tuple[Part, ...]
    usage: Usage | None = None
    stop_reason: StopReason | None = None


Written = Part | Sequence[Part] | Reply | ReplyDone
"""Every way to write a whole reply."""


def calls(tool: str, /, **arguments: object) -> ToolCall:
    """The model calls ``tool`` with these arguments. The call's id is made when it is played."""
    return ToolCall(id="", name=tool, arguments=arguments)


def thinks(text: str) -> ThinkingContent:
    """The model reasons with these words."""
    return ThinkingContent(thinking=text, signature="scripted")


def reply(*parts: Part, usage: Usage | None = None, stop_reason: StopReason | None = None) -> Reply:
    """A reply whose usage or stop reason matters.

    Args:
        usage: None = estimated: four characters are a token.
        stop_reason: None = ``toolUse`` when it calls a tool, else ``stop``.
    """
    return Reply(parts, usage, stop_reason)


def is_reply(written: Any) -> bool:
    """True for what `whole` takes."""
    if isinstance(written, Reply | ReplyDone | Part):
        return True
    return isinstance(written, Sequence) and all(isinstance(each, Part) for each in cast("Sequence[Any]", written))


def whole(written: Written, request: ModelRequest) -> ReplyDone:
    """What the model answers to this request. Calls without an id get one, the same in every run."""
    if isinstance(written, ReplyDone):
        return written
    if not isinstance(written, Reply):
        written = Reply((written,) if isinstance(written, Part) else tuple(written))
    shown = len(request.messages)
    content = tuple([_block(part, f"call_{shown}_{place}") for place, part in enumerate(written.parts)])
    called = any(isinstance(block, ToolCall) for block in content)
    return ReplyDone(
        content=content,
        stop_reason=written.stop_reason or ("toolUse" if called else "stop"),
        usage=written.usage or estimated_usage(request, content),
    )


def _block(part: Part, call_id: str) -> AssistantContent:
    if isinstance(part, str):
        return TextContent(text=part)
    if isinstance(part, ToolCall) and not part.id:
        return msgspec.structs.replace(part, id=call_id)
    return part
