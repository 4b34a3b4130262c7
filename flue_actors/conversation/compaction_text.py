"""Messages as one text for the model that summarises them. Pure, and safe to call from a worker thread.

    <user>
    Where is my order?
    </user>
    <assistant>
    I look it up.
    <call tool="order">{"id":7}</call>
    </assistant>
    <result tool="order">
    shipped
    </result>

What was said is data: escaped, so nothing in it can close an element or pose as another speaker. Reasoning is left out.
The text is made to fit: rather all messages with their long parts cut than some of them not at all.
"""

from collections.abc import Sequence
from html import escape
from typing import Final

import msgspec

from flue_actors.conversation.entries import INSTRUCTIONS
from flue_actors.conversation.signals import render_signal
from flue_actors.conversation.tokens import text_tokens
from flue_actors.messages import (
    AssistantMessage,
    FileContent,
    ImageContent,
    Message,
    SignalMessage,
    TextContent,
    ThinkingContent,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)


class _Detail(msgspec.Struct, frozen=True):
    """Characters shown of what somebody said, and of what a tool was given or answered."""

    said: int | None
    tool: int


_DETAILS: Final = (_Detail(None, 2000), _Detail(8000, 1000), _Detail(2000, 400), _Detail(400, 100))


def conversation_text(messages: Sequence[Message], limit: int | None) -> str:
    """The messages in at most about ``limit`` tokens (None: in full but for tool output).

    Long parts are cut first; where that is not enough, the oldest messages are left out, and the text says so.
    """
    shown = [message for message in messages if not is_standing(message)]
    pieces: list[str] = []
    for detail in _DETAILS:
        pieces = _fitting(shown, detail, limit)
        if len(pieces) == len(shown):
            break
    else:
        pieces.append(f"[{len(shown) - len(pieces)} earlier messages left out]")
    return "\n".join(reversed(pieces))


def _fitting(messages: Sequence[Message], detail: _Detail, limit: int | None) -> list[str]:
    """As many as fit, the newest first."""
    pieces: list[str] = []
    total = 0
    for message in reversed(messages):
        piece = _piece(message, detail)
        total += text_tokens(piece)
        if limit is not None and total > limit:
            break
        pieces.append(piece)
    return pieces


def is_standing(message: Message) -> bool:
    """True for changed instructions: they stand in the system prompt from a compaction on, and are not summarised."""
    return isinstance(message, SignalMessage) and message.type == INSTRUCTIONS


def _piece(message: Message, detail: _Detail) -> str:
    if isinstance(message, SignalMessage):
        return render_signal(msgspec.structs.replace(message, content=_cut(message.content, detail.said)))
    if isinstance(message, ToolResultMessage):
        kind = "error" if message.is_error else "result"
        return f'<{kind} tool="{escape(message.tool_name)}">\n{_blocks(message, detail)}\n</{kind}>'
    speaker = "user" if isinstance(message, UserMessage) else "assistant"
    return f"<{speaker}>\n{_blocks(message, detail)}\n</{speaker}>"


def _blocks(message: UserMessage | AssistantMessage | ToolResultMessage, detail: _Detail) -> str:
    longest = detail.tool if isinstance(message, ToolResultMessage) else detail.said
    lines: list[str] = []
    for block in message.content:
        if isinstance(block, TextContent):
            lines.append(escape(_cut(block.text, longest), quote=False))
        elif isinstance(block, ToolCall):
            lines.append(_call(block, detail))
        elif isinstance(block, ImageContent):
            lines.append("[picture]")
        elif isinstance(block, FileContent):
            lines.append(f"[file {escape(block.name, quote=False)}]")
        else:
            assert isinstance(block, ThinkingContent)
    return "\n".join(lines)


def _call(call: ToolCall, detail: _Detail) -> str:
    arguments = call.invalid if call.invalid is not None else msgspec.json.encode(call.arguments).decode()
    return f'<call tool="{escape(call.name)}">{escape(_cut(arguments, detail.tool), quote=False)}</call>'


def _cut(text: str, longest: int | None) -> str:
    if longest is None or len(text) <= longest:
        return text
    return f"{text[:longest]}\n[{len(text) - longest} more characters left out]"
