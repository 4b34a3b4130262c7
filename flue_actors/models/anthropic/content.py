"""The history as the Messages API takes it. Pure."""

from collections.abc import Sequence
from typing import Any, Final

from flue_actors.conversation.signals import render_signal
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
)
from flue_actors.models.attachments import Attachments, gone
from flue_actors.models.call_names import safe_id, safe_name

API: Final = "anthropic-messages"

_REASONING: Final = ("thinking", "redacted_thinking")

Block = dict[str, Any]


def api_messages(messages: Sequence[Message], reasoner: str | None, attachments: Attachments) -> list[dict[str, Any]]:
    """User and assistant turns in alternation, tool results first in their turn. Empty messages are left out.

    Args:
        messages: The history.
        reasoner: The model that gets its own signed reasoning back; None = all of it stays out.
        attachments: What pictures and files hold.
    """
    turns: list[dict[str, Any]] = []
    for message in messages:
        if isinstance(message, AssistantMessage):
            role, blocks = "assistant", _assistant_blocks(message, reasoner)
        else:
            role, blocks = "user", _user_blocks(message, attachments)
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role == "user":
            turns[-1]["content"] = sorted(turns[-1]["content"] + blocks, key=_is_no_result)
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def text_block(text: str) -> Block:
    """A block of text."""
    return {"type": "text", "text": text}


def _user_blocks(message: Message, attachments: Attachments) -> list[Block]:
    if isinstance(message, SignalMessage):
        return [text_block(render_signal(message))]
    blocks: list[Block] = []
    for block in message.content:
        if isinstance(block, ImageContent):
            blocks.append(_image(block, attachments))
        elif isinstance(block, FileContent):
            blocks.append(_document(block, attachments))
        elif isinstance(block, TextContent) and block.text.strip():
            blocks.append(text_block(block.text))
    return [_result(message, blocks)] if isinstance(message, ToolResultMessage) else blocks


def _result(message: ToolResultMessage, blocks: list[Block]) -> Block:
    """An error has to be text, and some: with pictures it is one in words alone."""
    result: Block = {"type": "tool_result", "tool_use_id": safe_id(message.tool_call_id)}
    if message.is_error:
        if all(block["type"] == "text" for block in blocks):
            result["is_error"] = True
            blocks = blocks or [text_block("[No output.]")]
        else:
            blocks = [text_block("[This is an error.]"), *blocks]
    if blocks:
        result["content"] = blocks
    return result


def _image(block: ImageContent, attachments: Attachments) -> Block:
    if (data := attachments.base64(block)) is None:
        return text_block(gone(block))
    return {"type": "image", "source": {"type": "base64", "media_type": block.mime_type, "data": data}}


def _document(block: FileContent, attachments: Attachments) -> Block:
    pdf = block.mime_type == "application/pdf"
    data = attachments.base64(block) if pdf else attachments.text(block)
    if data is None:
        return text_block(gone(block))
    if not data.strip():
        return text_block(f"[The file {block.name} is empty.]")
    kind, media_type = ("base64", block.mime_type) if pdf else ("text", "text/plain")  # the API's only kind of text
    source = {"type": kind, "media_type": media_type, "data": data}
    return {"type": "document", "source": source, "title": block.name}


def _assistant_blocks(message: AssistantMessage, reasoner: str | None) -> list[Block]:
    own = message.api == API and message.model == reasoner
    blocks: list[Block] = []
    for block in message.content:
        if isinstance(block, ToolCall):
            name = safe_name(block.name)
            blocks.append({"type": "tool_use", "id": safe_id(block.id), "name": name, "input": block.arguments})
        elif isinstance(block, ThinkingContent):
            if own and block.redacted is not None:
                blocks.append({"type": "redacted_thinking", "data": block.redacted})
            elif own and block.signature:
                blocks.append({"type": "thinking", "thinking": block.thinking, "signature": block.signature})
        elif block.text.strip():
            blocks.append(text_block(block.text))
    while blocks and blocks[-1]["type"] in _REASONING:  # nobody takes a reply that ends with it
        blocks.pop()
    return blocks


def _is_no_result(block: Block) -> bool:
    return block["type"] != "tool_result"
