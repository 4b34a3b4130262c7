"""`ModelRequest` to the body of ``POST /v1/messages``. Pure.

Prompt-cache order, so that every turn repeats the last one's prefix byte for byte:

    tools (sorted) > instructions [mark] > instance text [mark] > history [mark on the last two user turns]

The API keeps a prefix up to each mark, and looks back only 20 blocks from a mark for a kept one: the mark on the last
user turn but one stands where the previous request ended, so a turn of many parallel tool calls still finds it.

Newer models refuse their own reasoning once anything before it changed: a summary took the place of older messages, an
agent got another tool, a picture is gone. They are asked to leave such reasoning out and answer all the same.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from flue_actors.messages import AssistantMessage, Message, ToolResultMessage
from flue_actors.models.anthropic.content import API, api_messages, text_block
from flue_actors.models.attachments import Attachments, Base64Cache
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.protocol import ModelRequest, ToolSpec
from flue_actors.models.result_schema import promised_schema
from flue_actors.models.thinking import budget, effort
from flue_actors.models.tool_schema import plain_parameters

_MARK: Final = {"type": "ephemeral"}
_FALLBACK_MAX_TOKENS: Final = 8192
_DISABLED: Final = {"type": "disabled"}
_BINDING_CONTROLS: Final = "thinking-binding-controls-2026-08-01"


def request_body(request: ModelRequest, info: ModelInfo, cache: Base64Cache | None = None) -> dict[str, Any]:
    """The JSON body, streaming. Keys come in a fixed order, so equal requests are equal bytes.

    Args:
        request: What to ask.
        info: Facts about the model.
        cache: Keeps what attachments are in base64 for the next request.
    """
    max_tokens = _max_tokens(request, info)
    body: dict[str, Any] = {"model": request.model, "max_tokens": max_tokens, "stream": True}
    if thinking := _thinking(request, info, max_tokens):
        body["thinking"] = thinking
    if output := _output_config(request, info, thinking):
        body["output_config"] = output
    tools = [_tool(spec) for spec in sorted(request.tools, key=_name)]
    system = [text_block(text) for text in (request.instructions, request.instance_text) if text.strip()]
    for block in system or tools[-1:]:
        block["cache_control"] = _MARK
    if tools:
        body["tools"] = tools
        if not request.use_tools:
            body["tool_choice"] = {"type": "none"}
    if system:
        body["system"] = system
    attachments = Attachments(request.attachments, cache or Base64Cache())
    # Bound reasoning is checked even where the model shall not reason, and then nothing can ask for mercy.
    reasoner = None if info.bound_thinking and not _is_adaptive(thinking) else request.model
    body["messages"] = _marked(api_messages(request.messages, reasoner, attachments))
    return body


def request_headers(info: ModelInfo) -> dict[str, str]:
    """What the body needs said in a header."""
    return {"anthropic-beta": _BINDING_CONTROLS} if info.bound_thinking else {}


def encode_body(body: dict[str, Any]) -> bytes:
    """The body's bytes."""
    return msgspec.json.encode(body)


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


def _thinking(request: ModelRequest, info: ModelInfo, max_tokens: int) -> dict[str, Any] | None:
    """What asks for this much reasoning; nothing for a model that is not known to reason."""
    if info.thinking == "none":
        return None
    if request.thinking == "off" and info.thinking != "always":
        return {"type": "between_tools"} if info.thinking == "between_tools" else _DISABLED
    if info.thinking == "budget":
        tokens = 0 if _is_anothers(request.messages, request.model) else budget(request.thinking, max_tokens)
        return {"type": "enabled", "budget_tokens": tokens} if tokens else _DISABLED
    binding = {"block_binding": {"prefix_mismatch_behavior": "drop_block"}} if info.bound_thinking else {}
    return {"type": "adaptive", "display": "summarized", **binding}


def _is_anothers(messages: Sequence[Message], model: str) -> bool:
    """True amid tool calls of a turn that another model began, whose reasoning is none here: a budget is refused then."""
    begun: AssistantMessage | None = None
    for message in reversed(messages):
        if isinstance(message, AssistantMessage):
            begun = message
        elif not isinstance(message, ToolResultMessage):
            break
    return begun is not None and (begun.api, begun.model) != (API, model)


def _is_adaptive(thinking: dict[str, Any] | None) -> bool:
    return thinking is not None and thinking["type"] == "adaptive"


def _output_config(request: ModelRequest, info: ModelInfo, thinking: dict[str, Any] | None) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if _is_adaptive(thinking):
        config["effort"] = effort(request.thinking, info)
    if (schema := promised_schema(request, info)) is not None:
        config["format"] = {"type": "json_schema", "schema": schema}
    return config


def _name(spec: ToolSpec) -> str:
    return spec.name


def _tool(spec: ToolSpec) -> dict[str, Any]:
    return {"name": spec.name, "description": spec.description, "input_schema": plain_parameters(spec.parameters)}
