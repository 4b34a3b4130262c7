"""`ModelRequest` to the body of ``POST /v1/messages``. Pure.

Prompt-cache order, so that every turn repeats the last one's prefix byte for byte:

    tools (sorted) > instructions [mark] > instance text [mark] > history [mark on the last two user turns]

The API keeps a prefix up to each mark, and looks back only 20 blocks from a mark for a kept one: the mark on the last
user turn but one stands where the previous request ended, so a turn of many parallel tool calls still finds it.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from flue_actors.conversation.signals import render_signal
from flue_actors.messages import (
    AssistantMessage,
    Message,
    SignalMessage,
    TextContent,
    ThinkingContent,
    ToolCall,
    ToolResultMessage,
)
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.protocol import ModelRequest, ThinkingLevel

API: Final = "anthropic-messages"

_MARK: Final = {"type": "ephemeral"}
_FALLBACK_MAX_TOKENS: Final = 8192
_MIN_TOKENS: Final = 1024
_BUDGETS: Final[dict[ThinkingLevel, int]] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 16384,
}
_EFFORTS: Final[dict[ThinkingLevel, str]] = {
    "off": "low",  # for models that always think: as little as they can
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
}

Block = dict[str, Any]


def request_body(request: ModelRequest, info: ModelInfo) -> dict[str, Any]:
    """The JSON body, streaming. Keys come in a fixed order, so equal requests are equal bytes."""
    max_tokens = _max_tokens(request, info)
    body: dict[str, Any] = {"model": request.model, "max_tokens": max_tokens, "stream": True}
    body |= _thinking(request.thinking, info, max_tokens)
    tools = [_tool(spec.name, spec.description, spec.parameters) for spec in sorted(request.tools, key=_name)]
    system = [_text(text) for text in (request.instructions, request.instance_text) if text.strip()]
    for block in system or tools[-1:]:
        block["cache_control"] = _MARK
    if tools:
        body["tools"] = tools
    if system:
        body["system"] = system
    body["messages"] = _marked(api_messages(request.messages, request.model))
    return body


def encode_body(body: dict[str, Any]) -> bytes:
    """The body's bytes."""
    return msgspec.json.encode(body)


def api_messages(messages: Sequence[Message], model: str) -> list[dict[str, Any]]:
    """The history as the API takes it: user and assistant turns in alternation, tool results first in their turn.

    Messages that would be empty are left out. Reasoning is sent back only to the model that signed it.
    """
    turns: list[dict[str, Any]] = []
    for message in messages:
        if isinstance(message, AssistantMessage):
            role, blocks = "assistant", _assistant_blocks(message, model)
        else:
            role, blocks = "user", _user_blocks(message)
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role == "user":
            turns[-1]["content"] = _results_first(turns[-1]["content"] + blocks)
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _user_blocks(message: Message) -> list[Block]:
    if isinstance(message, SignalMessage):
        return [_text(render_signal(message))]
    blocks = [_text(block.text) for block in message.content if isinstance(block, TextContent) and block.text.strip()]
    if not isinstance(message, ToolResultMessage):
        return blocks
    result: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    if blocks:
        result["content"] = blocks
    if message.is_error:
        result["is_error"] = True
    return [result]


def _assistant_blocks(message: AssistantMessage, model: str) -> list[Block]:
    own = message.api == API and message.model == model
    blocks: list[Block] = []
    for block in message.content:
        if isinstance(block, ToolCall):
            blocks.append({"type": "tool_use", "id": block.id, "name": block.name, "input": block.arguments})
        elif isinstance(block, ThinkingContent):
            if own and block.redacted is not None:
                blocks.append({"type": "redacted_thinking", "data": block.redacted})
            elif own and block.signature:
                blocks.append({"type": "thinking", "thinking": block.thinking, "signature": block.signature})
        elif block.text.strip():
            blocks.append(_text(block.text))
    return blocks


def _results_first(blocks: list[Block]) -> list[Block]:
    return sorted(blocks, key=_is_no_result)


def _is_no_result(block: Block) -> bool:
    return block["type"] != "tool_result"


def _marked(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    users = [turn for turn in turns if turn["role"] == "user"]
    for turn in users[-2:]:
        turn["content"][-1]["cache_control"] = _MARK
    return turns


def _max_tokens(request: ModelRequest, info: ModelInfo) -> int:
    most = info.max_tokens or _FALLBACK_MAX_TOKENS
    if request.max_tokens is None:
        return most
    return min(request.max_tokens, info.max_tokens or request.max_tokens)


def _thinking(level: ThinkingLevel, info: ModelInfo, max_tokens: int) -> dict[str, Any]:
    """What asks for this much reasoning; nothing for a model that is not known to reason."""
    if info.thinking == "none":
        return {}
    if level == "off" and info.thinking != "always":
        return {"thinking": {"type": "disabled"}}
    if info.thinking == "budget":
        return {"thinking": _budget(_BUDGETS[level], max_tokens)}
    effort = _EFFORTS.get(level, info.top_effort)
    return {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": effort}}


def _budget(tokens: int, max_tokens: int) -> dict[str, Any]:
    """Leaves at least 1,024 tokens for the answer; where that leaves less than 1,024 to think, there is no thinking."""
    tokens = min(tokens, max_tokens - _MIN_TOKENS)
    return {"type": "enabled", "budget_tokens": tokens} if tokens >= _MIN_TOKENS else {"type": "disabled"}


def _name(spec: Any) -> str:
    return spec.name


def _tool(name: str, description: str, schema: dict[str, Any]) -> Block:
    return {"name": name, "description": description, "input_schema": schema}


def _text(text: str) -> Block:
    return {"type": "text", "text": text}
