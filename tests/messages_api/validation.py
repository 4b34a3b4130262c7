"""What the Messages API refuses with 400. Pure; the texts are for reading in a failed test."""

import base64
import re
from collections.abc import Iterator
from typing import Any, Final

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")
_MAX_MARKS: Final = 4
_REASONING: Final = ("thinking", "redacted_thinking")
_NOT_SUPPORTED: Final = frozenset(
    {"minimum", "maximum", "minLength", "maxLength", "pattern", "maxItems", "uniqueItems", "oneOf", "$ref", "default"}
)
_MEDIA_TYPES: Final = {
    ("image", "base64"): ("image/jpeg", "image/png", "image/gif", "image/webp"),
    ("document", "base64"): ("application/pdf",),
    ("document", "text"): ("text/plain",),
}


def refusal(body: dict[str, Any]) -> str | None:
    """Why this body is not a valid request; None when it is."""
    return next(_problems(body), None)


def _problems(body: dict[str, Any]) -> Iterator[str]:
    messages = body.get("messages")
    if not isinstance(body.get("model"), str) or not isinstance(body.get("max_tokens"), int):
        yield "model and max_tokens are required"
    if not messages:
        yield "messages: at least one message is required"
        return
    if messages[0]["role"] != "user":
        yield "messages.0: the first message must be of role user"
    yield from _tools(body.get("tools", []))
    yield from _marks(body)
    yield from _thinking(body.get("thinking"), body["max_tokens"])
    yield from _format(body.get("output_config", {}).get("format"))
    yield from _media(messages)
    yield from _history(messages)


def _tools(tools: list[dict[str, Any]]) -> Iterator[str]:
    names = [tool["name"] for tool in tools]
    if len(set(names)) != len(names):
        yield "tools: names must be unique"
    for tool in tools:
        if any(word in tool["input_schema"] for word in ("oneOf", "allOf", "anyOf")):
            yield f"tools: {tool['name']}: input_schema does not support oneOf, allOf, or anyOf at the top level"
        if not _NAME.match(tool["name"]) or tool["input_schema"].get("type") != "object":
            yield f"tools: {tool['name']} has no valid name or schema"


def _marks(body: dict[str, Any]) -> Iterator[str]:
    blocks = [*body.get("tools", []), *_blocks(body.get("system", []))]
    for message in body["messages"]:
        blocks += _blocks(message["content"])
    if sum("cache_control" in block for block in blocks) > _MAX_MARKS:
        yield f"at most {_MAX_MARKS} blocks with cache_control"


def _thinking(thinking: dict[str, Any] | None, max_tokens: int) -> Iterator[str]:
    if thinking and thinking["type"] == "enabled" and not 1024 <= thinking["budget_tokens"] < max_tokens:
        yield "thinking.budget_tokens: at least 1024 and below max_tokens"


def _format(format: dict[str, Any] | None) -> Iterator[str]:
    if format is None:
        return
    if format.get("type") != "json_schema":
        yield "output_config.format: type must be json_schema"
    for schema in _parts(format["schema"]):
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
            yield "output_config.format.schema: for 'object' type, 'additionalProperties' must be explicitly set to false"
        if unknown := schema.keys() & _NOT_SUPPORTED:
            yield f"output_config.format.schema: {sorted(unknown)} not supported"


def _parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema and every schema in it."""
    yield schema
    for part in [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]:
        yield from _parts(part)
    if "items" in schema:
        yield from _parts(schema["items"])


def _media(messages: list[dict[str, Any]]) -> Iterator[str]:
    for message in messages:
        for block in _blocks(message["content"]):
            yield from _medium(block, ("image", "document") if message["role"] == "user" else ())
            if block["type"] == "tool_result":
                for inner in _blocks(block.get("content", [])):
                    yield from _medium(inner, ("image",))


def _medium(block: dict[str, Any], allowed: tuple[str, ...]) -> Iterator[str]:
    if block["type"] not in ("image", "document"):
        return
    source = block["source"]
    if block["type"] not in allowed:
        yield f"{block['type']}: not allowed here"
    if source["media_type"] not in _MEDIA_TYPES[block["type"], source["type"]] or not source["data"].strip():
        yield f"{block['type']}.source: {source['media_type']} is not allowed"
    if source["type"] == "base64":
        try:
            base64.b64decode(source["data"], validate=True)
        except ValueError:
            yield f"{block['type']}.source.base64: invalid base64 data"


def _history(messages: list[dict[str, Any]]) -> Iterator[str]:
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        blocks = _blocks(message["content"])
        if not blocks:
            yield f"messages.{index}: content is empty"
        if any(block["type"] == "text" and not block["text"].strip() for block in blocks):
            yield f"messages.{index}: text content blocks must be non-empty"
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if sorted(results) != sorted(open_calls):
            yield f"messages.{index}: tool_use without tool_result right after it, or the reverse"
        if any(block["type"] != "tool_result" for block in blocks[: len(results)]):
            yield f"messages.{index}: tool_result blocks come first"
        for block in blocks:
            if block["type"] == "tool_result" and block.get("is_error"):
                inner = _blocks(block.get("content", []))
                if not inner or any(each["type"] != "text" for each in inner):
                    yield f"messages.{index}: content has to be text, and some, if is_error is true"
        if message["role"] == "assistant" and blocks and blocks[-1]["type"] in _REASONING:
            yield f"messages.{index}: the final block in an assistant message cannot be thinking"
        open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if any(not _NAME.match(block["id"]) or not _NAME.match(block["name"]) for block in blocks if "input" in block):
            yield f"messages.{index}: tool_use ids and names should match pattern"
    if open_calls:
        yield "messages: the last tool_use has no tool_result"


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
