"""Conversation messages: what is stored, sent to the model, and shown in events.

Shapes and field spelling are Flue 0.10's (wire names are camelCase, roles are ``user``, ``assistant``, ``toolResult``,
``signal``), so a stored message is a wire message. All of them are frozen; a tuple never changes under a reader.
"""

from typing import Any, Literal

import msgspec

StopReason = Literal["stop", "length", "toolUse", "error", "aborted"]


class _Wire(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    pass


class TextContent(_Wire, frozen=True, tag_field="type", tag="text"):
    """Plain text."""

    text: str


class ImageContent(_Wire, frozen=True, tag_field="type", tag="image"):
    """A picture. Its bytes are an attachment (`storage.PutAttachment`), named by their content.

    Attributes:
        attachment: Hex SHA-256 of the bytes.
        mime_type: ``image/png``, ``image/jpeg``, ``image/gif`` or ``image/webp``.
        size: Bytes.
    """

    attachment: str
    mime_type: str
    size: int


class FileContent(_Wire, frozen=True, tag_field="type", tag="file"):
    """A document: PDF or text. Fields as in `ImageContent`; ``name`` is the sender's own, shown to the model."""

    attachment: str
    mime_type: str
    size: int
    name: str


class ThinkingContent(_Wire, frozen=True, tag_field="type", tag="thinking"):
    """The model's reasoning. Unsigned or redacted parts keep what the provider needs to see again."""

    thinking: str
    signature: str | None = None
    redacted: str | None = None


class ToolCall(_Wire, frozen=True, tag_field="type", tag="toolCall"):
    """One tool the model asks for; ``arguments`` is the parsed JSON object.

    ``invalid`` holds the raw text when the model's JSON could not be parsed: the call then gets an error result.
    """

    id: str
    name: str
    arguments: dict[str, Any]
    invalid: str | None = None


UserContent = TextContent | ImageContent | FileContent
AssistantContent = TextContent | ThinkingContent | ToolCall
ToolContent = TextContent | ImageContent


class Cost(_Wire, frozen=True, omit_defaults=False):
    """US dollars."""

    input: float = 0
    output: float = 0
    cache_read: float = 0
    cache_write: float = 0
    total: float = 0


class Usage(_Wire, frozen=True, omit_defaults=False):
    """Tokens of one reply or a sum of them. ``cost`` is None when a model's prices are unknown, never 0."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    total_tokens: int = 0
    cost: Cost | None = None


class UserMessage(_Wire, frozen=True, tag_field="role", tag="user"):
    """What a person (or program) said."""

    content: tuple[UserContent, ...]
    timestamp: int


class AssistantMessage(_Wire, frozen=True, tag_field="role", tag="assistant", omit_defaults=False):
    """One reply of the model. ``error_message`` is the public sentence of a failed reply."""

    content: tuple[AssistantContent, ...]
    api: str
    provider: str
    model: str
    usage: Usage
    stop_reason: StopReason
    timestamp: int
    error_message: str | msgspec.UnsetType = msgspec.UNSET


class ToolResultMessage(_Wire, frozen=True, tag_field="role", tag="toolResult", omit_defaults=False):
    """The outcome of one tool call, as the model sees it."""

    tool_call_id: str
    tool_name: str
    content: tuple[ToolContent, ...]
    is_error: bool
    timestamp: int
    details: dict[str, Any] = {}


class SignalMessage(_Wire, frozen=True, tag_field="role", tag="signal"):
    """Something that happened, told to the model as XML in the user role.

    ``tag_name`` is the XML element (default ``signal``), ``attributes`` its attributes in order, ``content`` its text.
    """

    type: str
    content: str
    timestamp: int
    tag_name: str = "signal"
    attributes: dict[str, str] = {}


Message = UserMessage | AssistantMessage | ToolResultMessage | SignalMessage


def text_of(message: Message) -> str:
    """The text blocks of a message joined by newlines: what a person would read."""
    if isinstance(message, SignalMessage):
        return message.content
    return "\n".join([block.text for block in message.content if isinstance(block, TextContent)])


def is_illustrated(message: Message) -> bool:
    """True for a message that has a picture or a file."""
    if isinstance(message, (UserMessage, ToolResultMessage)):
        for block in message.content:
            if not isinstance(block, TextContent):
                return True
    return False


def anonymous(message: Message) -> Message:
    """The message without the name of who approved or denied a tool call: principals are not for clients."""
    if not isinstance(message, ToolResultMessage) or "by" not in message.details.get("approval", ()):
        return message
    approval = {name: value for name, value in message.details["approval"].items() if name != "by"}
    return msgspec.structs.replace(message, details={**message.details, "approval": approval})


def tool_calls_of(message: AssistantMessage) -> tuple[ToolCall, ...]:
    """The tool calls of a reply in the order the model made them."""
    return tuple([block for block in message.content if isinstance(block, ToolCall)])


def with_distinct_ids(content: tuple[AssistantContent, ...]) -> tuple[AssistantContent, ...]:
    """The content with an id of its own for each tool call: results are told apart by it, and some models repeat one."""
    ids = [block.id for block in content if isinstance(block, ToolCall)]
    if len(set(ids)) == len(ids):
        return content
    taken: set[str] = set()
    distinct: list[AssistantContent] = []
    for block in content:
        if isinstance(block, ToolCall):
            id, n = block.id, 1
            while id in taken or (n > 1 and id in ids):
                n += 1
                id = f"{block.id}_{n}"
            taken.add(id)
            block = msgspec.structs.replace(block, id=id)
        distinct.append(block)
    return tuple(distinct)
