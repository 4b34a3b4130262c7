"""The history as chat completions take it. Pure.

Servers of this kind differ in what they put up with, so the plainest form that all of them take is used: content that is
only text is one string, neighbouring messages of the user are one, results follow their calls at once. A result's
pictures, which a tool message cannot hold, follow in a user message after the last result of the batch.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

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
    text_of,
    tool_calls_of,
)
from flue_actors.models.attachments import Attachments, gone
from flue_actors.models.call_names import safe_id, safe_name

API: Final = "openai-completions"

REASONING_FIELDS: Final = ("reasoning_content", "reasoning", "reasoning_text")
"""Where servers put a reply's reasoning. Its `ThinkingContent.signature` says where it came from, for the way back."""

Part = dict[str, Any]


def chat_messages(messages: Sequence[Message], model: str, attachments: Attachments) -> list[dict[str, Any]]:
    """Messages in order. Those that would be empty are left out; reasoning goes back to the model it came from."""
    chat: list[dict[str, Any]] = []
    ids: dict[str, str] = {}  # of the calls so far, as they are sent
    shown: list[Part] = []  # pictures of the results since the last call
    for message in messages:
        if isinstance(message, ToolResultMessage):
            chat.append(_result(message, ids))
            shown += _pictures(message, attachments)
            continue
        _add_user(chat, shown)
        shown = []
        if isinstance(message, AssistantMessage):
            ids |= _sent_ids(message)
            if reply := _reply(message, model, ids):
                chat.append(reply)
        else:
            _add_user(chat, _user_parts(message, attachments))
    _add_user(chat, shown)
    return [_plain(message) for message in chat]


def _add_user(chat: list[dict[str, Any]], parts: list[Part]) -> None:
    if not parts:
        return
    if chat and chat[-1]["role"] == "user":
        chat[-1]["content"] += parts
    else:
        chat.append({"role": "user", "content": parts})


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """A user message whose parts are all text has one string."""
    content = message["content"]
    if message["role"] == "user" and all(part["type"] == "text" for part in content):
        message["content"] = "\n\n".join([part["text"] for part in content])
    return message


def _user_parts(message: Message, attachments: Attachments) -> list[Part]:
    if isinstance(message, SignalMessage):
        return [_text(render_signal(message))]
    parts: list[Part] = []
    for block in message.content:
        if isinstance(block, ImageContent):
            parts.append(_image(block, attachments))
        elif isinstance(block, FileContent):
            parts.append(_file(block, attachments))
        elif isinstance(block, TextContent) and block.text.strip():
            parts.append(_text(block.text))
    return parts


def _sent_ids(message: AssistantMessage) -> dict[str, str]:
    """Some servers want back exactly the ids they gave; what others gave is made plain."""
    own = message.api == API
    return {call.id: call.id if own else safe_id(call.id) for call in tool_calls_of(message)}


def _result(message: ToolResultMessage, ids: dict[str, str]) -> dict[str, Any]:
    text = text_of(message)
    if not text.strip():
        pictures = any(isinstance(block, ImageContent) for block in message.content)
        text = "[The pictures follow.]" if pictures else "[No output.]"
    if message.is_error:
        text = f"Error: {text}"
    id = ids.get(message.tool_call_id, message.tool_call_id)
    return {"role": "tool", "tool_call_id": id, "content": text}


def _pictures(message: ToolResultMessage, attachments: Attachments) -> list[Part]:
    parts = [_image(block, attachments) for block in message.content if isinstance(block, ImageContent)]
    return [_text(f"[From the result of {message.tool_name}:]"), *parts] if parts else []


def _image(block: ImageContent, attachments: Attachments) -> Part:
    if (data := attachments.base64(block)) is None:
        return _text(gone(block))
    return {"type": "image_url", "image_url": {"url": f"data:{block.mime_type};base64,{data}"}}


def _file(block: FileContent, attachments: Attachments) -> Part:
    """A PDF as a file; text as text, which every server reads."""
    pdf = block.mime_type == "application/pdf"
    data = attachments.base64(block) if pdf else attachments.text(block)
    if data is None:
        return _text(gone(block))
    if not pdf:
        return _text(f"[The file {block.name}:]\n{data}")
    file = {"filename": block.name, "file_data": f"data:{block.mime_type};base64,{data}"}
    return {"type": "file", "file": file}


def _reply(message: AssistantMessage, model: str, ids: dict[str, str]) -> dict[str, Any] | None:
    text = text_of(message)
    calls = [_call(call, ids[call.id]) for call in tool_calls_of(message)]
    if not calls and not text.strip():
        return None
    reply: dict[str, Any] = {"role": "assistant", "content": text if text.strip() else None}
    if message.api == API and message.model == model:
        for block in message.content:
            if isinstance(block, ThinkingContent) and block.signature in REASONING_FIELDS:
                reply[block.signature] = reply.get(block.signature, "") + block.thinking
    if calls:
        reply["tool_calls"] = calls
    return reply


def _call(call: ToolCall, id: str) -> dict[str, Any]:
    function = {"name": safe_name(call.name), "arguments": msgspec.json.encode(call.arguments).decode()}
    return {"id": id, "type": "function", "function": function}


def _text(text: str) -> Part:
    return {"type": "text", "text": text}
