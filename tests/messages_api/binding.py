"""Reasoning that is bound to the conversation, as newer models check it. Pure.

A signature is the hash of all that stands before the turn it is in: system prompt, tools, messages, without cache marks
and reasoning.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import msgspec

BETA: Final = "thinking-binding-controls-2026-08-01"


def signature(body: dict[str, Any], messages: Sequence[dict[str, Any]]) -> str:
    """Signs reasoning that follows these messages."""
    prefix = [body.get("system"), body.get("tools"), [_plain(message) for message in messages]]
    return hashlib.sha256(msgspec.json.encode(_unmarked(prefix))).hexdigest()


def mismatch(body: dict[str, Any], headers: dict[str, str]) -> str | None:
    """Why the request is refused; None when its reasoning belongs here, or may be dropped."""
    binding = body.get("thinking", {}).get("block_binding")
    if binding is not None:
        if BETA not in headers.get("anthropic-beta", ""):
            return f"thinking.block_binding: requires anthropic-beta: {BETA}"
        if body["thinking"]["type"] != "adaptive":
            return "thinking.block_binding: only with adaptive"
        if binding["prefix_mismatch_behavior"] == "drop_block":
            return None
    return next(_strangers(body), None)


def _strangers(body: dict[str, Any]) -> Iterator[str]:
    for index, message in enumerate(body["messages"]):
        for block in message["content"] if message["role"] == "assistant" else ():
            if block["type"] == "thinking" and block["signature"] != signature(body, body["messages"][:index]):
                yield f"messages.{index}: Invalid `signature`. The block is bound to a different conversation."


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if not isinstance(content, str):
        content = [block for block in content if block["type"] != "thinking"]
    return {"role": message["role"], "content": content}


def _unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {key: _unmarked(part) for key, part in fields.items() if key != "cache_control"}
    return [_unmarked(part) for part in cast("list[Any]", value)] if isinstance(value, list) else value
