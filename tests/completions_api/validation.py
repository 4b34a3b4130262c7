"""What chat-completions servers refuse with 400 or 422. Pure; the texts are for reading in a failed test."""

import base64
import re
from collections.abc import Iterator
from typing import Any, Final

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_DATA_URL: Final = re.compile(r"data:([\w/+.-]+);base64,([A-Za-z0-9+/]+=*)\Z")
_EVERYWHERE: Final = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "tools",
        "tool_choice",
        "reasoning_effort",
        "response_format",
    }
)
_ONLY_OWN: Final = frozenset({"max_completion_tokens", "prompt_cache_key"})
_OPEN: Final = ("minimum", "maximum", "pattern", "oneOf", "allOf", "default", "$ref")


def refusal(body: dict[str, Any], *, own: bool) -> str | None:
    """Why this body is not a valid request to OpenAI itself (``own``), or to a strict server; None when it is."""
    return next(_problems(body, own), None)


def _problems(body: dict[str, Any], own: bool) -> Iterator[str]:
    if not isinstance(body.get("model"), str) or not body.get("messages"):
        yield "model and messages are required"
        return
    if unknown := body.keys() - (_EVERYWHERE | _ONLY_OWN if own else _EVERYWHERE):
        yield f"extra_forbidden: {sorted(unknown)}"
    if own and "max_tokens" in body:
        yield "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    if len(body.get("prompt_cache_key", "")) > 64:
        yield "prompt_cache_key: string too long"
    if "tool_choice" in body and "tools" not in body:
        yield "tool_choice: only allowed when tools are specified"
    for tool in body.get("tools", []):
        if own and any(word in tool["function"]["parameters"] for word in ("oneOf", "anyOf", "allOf", "enum", "not")):
            yield f"tools: {tool} must not have a choice at the top level"
        if not _NAME.match(tool["function"]["name"]) or tool["function"]["parameters"].get("type") != "object":
            yield f"tools: {tool} has no valid name or schema"
    yield from _format(body.get("response_format"))
    yield from _messages(body["messages"])


def _format(format: dict[str, Any] | None) -> Iterator[str]:
    if format is None:
        return
    schema = format["json_schema"]["schema"]
    if format["json_schema"]["strict"] is not True or schema.get("type") != "object":
        yield "response_format: schema must be of type object"
    yield from _strict(schema)


def _strict(schema: dict[str, Any]) -> Iterator[str]:
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False or schema.get("required") != list(schema["properties"]):
            yield "response_format: additionalProperties must be false and required must name every property"
        for part in schema["properties"].values():
            yield from _strict(part)
    elif "anyOf" not in schema and "type" not in schema:
        yield "response_format: schema must have a 'type' key"
    if any(key in schema for key in _OPEN):
        yield "response_format: keyword not permitted"
    for part in [*schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]:
        yield from _strict(part)


def _messages(messages: list[dict[str, Any]]) -> Iterator[str]:
    waiting: list[str] = []
    for index, message in enumerate(messages):
        role = message["role"]
        if role == "tool":
            if message["tool_call_id"] not in waiting or not isinstance(message["content"], str):
                yield f"messages.{index}: a tool message answers a call of the assistant message before it, in text"
            else:
                waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            yield f"messages.{index}: an assistant message with 'tool_calls' must be followed by tool messages"
        if role == "system" and index:
            yield f"messages.{index}: a system message stands at the beginning"
        if role == "user":
            yield from _parts(index, message["content"])
            if index and messages[index - 1]["role"] == "user":
                yield f"messages.{index}: roles must alternate"
        if role == "assistant":
            waiting = [call["id"] for call in message.get("tool_calls", [])]
            if not waiting and not message["content"]:
                yield f"messages.{index}: content is empty"
    if waiting:
        yield "messages: the last tool_calls have no tool message"


def _parts(index: int, content: str | list[dict[str, Any]]) -> Iterator[str]:
    if not content:
        yield f"messages.{index}: content is empty"
    for part in [] if isinstance(content, str) else content:
        if part["type"] == "image_url":
            yield from _data(index, part["image_url"]["url"], "image/")
        elif part["type"] == "file":
            yield from _data(index, part["file"]["file_data"], "application/pdf")
        elif part["type"] != "text":
            yield f"messages.{index}: {part['type']} is no content part"


def _data(index: int, url: str, kind: str) -> Iterator[str]:
    match = _DATA_URL.match(url)
    if match is None or not match[1].startswith(kind):
        yield f"messages.{index}: no data URL of {kind}"
    else:
        base64.b64decode(match[2], validate=True)
