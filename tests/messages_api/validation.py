"""What the Messages API refuses with 400. Pure; the texts are for reading in a failed test."""

import re
from collections.abc import Iterator
from typing import Any, Final

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")
_MAX_MARKS: Final = 4


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
    yield from _history(messages)


def _tools(tools: list[dict[str, Any]]) -> Iterator[str]:
    names = [tool["name"] for tool in tools]
    if len(set(names)) != len(names):
        yield "tools: names must be unique"
    for tool in tools:
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
        open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    if open_calls:
        yield "messages: the last tool_use has no tool_result"


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
