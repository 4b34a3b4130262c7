"""What the server answers: chunks of a chat completion. Pure.

The text of the newest user message is a script (`flue_actors.models.script`), as for the ``scripted/`` models.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from flue_actors.models.script import parse_script, step_at
from tests.messages_api.cache import InputTokens
from tests.messages_api.replies import Asked, Block, Reply

_FINISH_REASONS: Final = {"tool_use": "tool_calls", "max_tokens": "length", "refusal": "content_filter"}
DONE: Final = b"data: [DONE]\n\n"


def asked(body: dict[str, Any]) -> Asked:
    """Read the request's newest turn. What follows results in the user's role are their pictures, not a turn."""
    messages: Sequence[dict[str, Any]] = [message for message in body["messages"] if message["role"] != "system"]
    turns = [
        message
        for before, message in zip([{"role": ""}, *messages], messages, strict=False)
        if not (message["role"] == "user" and before["role"] == "tool" and "[From the result" in texts(message))
    ]
    rounds = 0
    script = ""
    for message in reversed(turns):
        if message["role"] == "user":
            script = texts(message)
            break
        rounds += message["role"] == "assistant"
    results: list[str] = []
    for message in reversed(turns):
        if message["role"] != "tool":
            break
        results.insert(0, message["content"])
    text = "\n".join(results) if results else script
    step = step_at(parse_script(script), rounds)
    if body.get("tool_choice") == "none":
        step = step.without_calls()
    return Asked(step, text, len(messages), (script, len(messages)))


def frames(
    reply: Reply, model: str, tokens: InputTokens, number: int, *, size: int, reasoning: str, done: bool = True
) -> list[bytes]:
    """The stream, one chunk a frame; text and reasoning in deltas of ``size`` characters, calls in pieces."""
    stream = [_chunk(number, model, {"role": "assistant", "content": ""})]
    calls = 0
    for block in reply.blocks:
        if block["type"] == "tool_use":
            stream += [_chunk(number, model, {"tool_calls": [part]}) for part in _call(block, calls)]
            calls += 1
        else:
            field, text = ("content", block["text"]) if block["type"] == "text" else (reasoning, block["thinking"])
            stream += [_chunk(number, model, {field: piece}) for piece in _pieces(text, size)]
    stream.append(_chunk(number, model, {}, _FINISH_REASONS.get(reply.stop_reason, "stop")))
    usage = {
        "prompt_tokens": tokens.total,
        "completion_tokens": reply.output_tokens,
        "total_tokens": tokens.total + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read},
    }
    stream.append(frame(_shape(number, model) | {"choices": [], "usage": usage}))
    return [*stream, DONE] if done else stream


def frame(payload: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: %s\n\n" % msgspec.json.encode(payload)


def texts(message: dict[str, Any]) -> str:
    """The text of a message."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join([part["text"] for part in content or () if part["type"] == "text"])


def _call(block: Block, index: int) -> Iterator[dict[str, Any]]:
    first, *rest = [*_pieces(block["raw"], 7)] or [""]
    function = {"name": block["name"], "arguments": first}
    yield {"index": index, "id": block["id"], "type": "function", "function": function}
    for piece in rest:
        yield {"index": index, "function": {"arguments": piece}}


def _chunk(number: int, model: str, delta: dict[str, Any], finish: str | None = None) -> bytes:
    return frame(
        _shape(number, model) | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}
    )


def _shape(number: int, model: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 0, "model": model}


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]
