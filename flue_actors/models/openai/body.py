"""`ModelRequest` to the body of ``POST /chat/completions``. Pure.

Order, so that every turn repeats the last one's prefix: tools (sorted), instructions, instance text, history. Providers
find a known prefix by themselves. Some servers refuse fields they do not know: what only OpenAI's own API has
(``prompt_cache_key``, ``max_completion_tokens``) goes only there; elsewhere the conversation is named in a header.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from flue_actors.models.attachments import Attachments
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.http_client import Outgoing
from flue_actors.models.openai.content import chat_messages
from flue_actors.models.protocol import ModelRequest, ToolSpec
from flue_actors.models.result_schema import promised_schema
from flue_actors.models.thinking import effort
from flue_actors.models.tool_schema import plain_parameters


def chat_body(request: ModelRequest, info: ModelInfo, outgoing: Outgoing) -> dict[str, Any]:
    """The JSON body, streaming. Keys come in a fixed order, so equal requests are equal bytes."""
    body: dict[str, Any] = {"model": request.model, "stream": True, "stream_options": {"include_usage": True}}
    if most := _max_tokens(request, info):
        body["max_completion_tokens" if outgoing.own else "max_tokens"] = most
    if reasoning := _reasoning_effort(request, info):
        body["reasoning_effort"] = reasoning
    if outgoing.own and outgoing.affinity:
        body["prompt_cache_key"] = outgoing.affinity
    if (schema := promised_schema(request, info)) is not None:
        named = {"name": "result", "strict": True, "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if tools := [_tool(spec) for spec in sorted(request.tools, key=_name)]:
        body["tools"] = tools
        if not request.use_tools:
            body["tool_choice"] = "none"
    attachments = Attachments(request.attachments, outgoing.cache)
    body["messages"] = _system(request) + chat_messages(request.messages, request.model, attachments)
    return body


def encoded_chat(request: ModelRequest, info: ModelInfo, outgoing: Outgoing) -> bytes:
    """The body's bytes."""
    return msgspec.json.encode(chat_body(request, info, outgoing))


def affinity_headers(outgoing: Outgoing) -> Mapping[str, str]:
    """Tells a server of many replicas which one has the conversation's prefix; unknown to a server, it does no harm."""
    return {} if outgoing.own or not outgoing.affinity else {"x-session-affinity": outgoing.affinity}


def _system(request: ModelRequest) -> list[dict[str, Any]]:
    """One message: many servers' templates take no more."""
    texts = [text for text in (request.instructions, request.instance_text) if text.strip()]
    return [{"role": "system", "content": "\n\n".join(texts)}] if texts else []


def _max_tokens(request: ModelRequest, info: ModelInfo) -> int | None:
    """None = the server's own."""
    if request.max_tokens is None:
        return info.max_tokens
    return min(request.max_tokens, info.max_tokens or request.max_tokens)


def _reasoning_effort(request: ModelRequest, info: ModelInfo) -> str | None:
    """Only for a model that is known to take an effort: others refuse the field."""
    if info.thinking in ("none", "budget"):
        return None
    if request.thinking == "off" and info.thinking != "always":
        return "none"
    return effort(request.thinking, info)


def _name(spec: ToolSpec) -> str:
    return spec.name


def _tool(spec: ToolSpec) -> dict[str, Any]:
    parameters = plain_parameters(spec.parameters)
    function = {"name": spec.name, "description": spec.description, "parameters": parameters}
    return {"type": "function", "function": function}
