"""What the server answers: the content of a reply and its event stream. Pure.

The text of the newest user message is a script (`flue_actors.models.script`), as for the ``scripted/`` models.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from html import unescape
from typing import Any, Final

import msgspec

from flue_actors.models.script import Step, parse_script, step_at
from tests.messages_api.cache import InputTokens

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_DISPATCHED: Final = re.compile(r'<dispatch [^>]*>\n(".*")\n</dispatch>')
_STOP_REASONS: Final = {"refuse": "refusal", "length": "max_tokens"}

Block = dict[str, Any]


class Reply(msgspec.Struct, frozen=True):
    """A whole reply; ``blocks`` as in the API's own answers."""

    blocks: tuple[Block, ...]
    stop_reason: str
    output_tokens: int


class Asked(msgspec.Struct, frozen=True):
    """What the newest user turn asks: its script's step, the text to answer, and a key for counting attempts."""

    step: Step
    text: str
    shown: int
    key: tuple[str, int]


def asked(body: dict[str, Any]) -> Asked:
    """Read the request's newest turn."""
    messages: Sequence[dict[str, Any]] = body["messages"]
    rounds = 0
    for message in reversed(messages):
        if message["role"] == "assistant":
            rounds += 1
        elif script := "\n".join(map(_spoken, _texts(message))):
            break
    else:
        script = ""
    results = [text for block in _blocks(messages[-1]) if block["type"] == "tool_result" for text in _texts(block)]
    text = "\n".join(results) if results else script
    step = step_at(parse_script(script), rounds)
    if body.get("tool_choice") == {"type": "none"}:
        step = step.without_calls()
    return Asked(step, text, len(messages), (script, len(messages)))


def reply_to(question: Asked, canned: str | None, signature: str = "c2lnbmVk") -> Reply:
    """The reply; ``canned`` text replaces the echo."""
    step = question.step
    text = canned if canned is not None else f"echo: {question.text} ({question.shown} messages)"
    text = text if step.answer is None else step.answer
    blocks: list[Block] = []
    if step.think:
        blocks.append({"type": "thinking", "thinking": step.think, "signature": signature})
    if step.ending in _STOP_REASONS:
        text = text[: len(text) // 2]
    if step.calls:
        text = step.answer or ""
    if step.ending != "empty" and text:
        blocks.append({"type": "text", "text": text})
    for index, call in enumerate(step.calls):
        raw = call.invalid if call.invalid is not None else msgspec.json.encode(call.arguments).decode()
        name = f"toolu_{question.shown}_{index}"
        blocks.append({"type": "tool_use", "id": name, "name": call.tool, "input": call.arguments, "raw": raw})
    stop = "tool_use" if step.calls else _STOP_REASONS.get(step.ending, "end_turn")
    return Reply(tuple(blocks), stop, max(1, sum(len(str(block)) for block in blocks) // 4))


def letters(size: int) -> str:
    """This many letters."""
    return (_LETTERS * (size // len(_LETTERS) + 1))[:size]


def message_json(reply: Reply, model: str, tokens: InputTokens, number: int) -> bytes:
    """The answer of a request that does not stream."""
    blocks = [{key: part for key, part in block.items() if key != "raw"} for block in reply.blocks]
    message = _message(model, tokens, number, reply.output_tokens) | {
        "content": blocks,
        "stop_reason": reply.stop_reason,
    }
    return msgspec.json.encode(message)


def frames(reply: Reply, model: str, tokens: InputTokens, number: int, *, size: int) -> list[bytes]:
    """The event stream, one event a frame; text and reasoning in deltas of ``size`` characters."""
    start = {"type": "message_start", "message": _message(model, tokens, number, 1)}
    stream = [frame("message_start", start), frame("ping", {"type": "ping"})]
    for index, block in enumerate(reply.blocks):
        stream += _block_frames(index, block, size)
    usage = {"output_tokens": reply.output_tokens}
    delta = {"stop_reason": reply.stop_reason, "stop_sequence": None}
    stream.append(frame("message_delta", {"type": "message_delta", "delta": delta, "usage": usage}))
    stream.append(frame("message_stop", {"type": "message_stop"}))
    return stream


def frame(name: str, payload: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(payload))


def _message(model: str, tokens: InputTokens, number: int, output_tokens: int) -> dict[str, Any]:
    usage = {
        "input_tokens": tokens.fresh,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write,
        "output_tokens": output_tokens,
    }
    shape = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": model}
    return shape | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}


def _block_frames(index: int, block: Block, size: int) -> Sequence[bytes]:
    match block["type"]:
        case "text":
            return _text_frames(index, block["text"], size)
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"], size)]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            return _wrapped(index, {"type": "thinking", "thinking": "", "signature": ""}, deltas)
        case _:
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _pieces(block["raw"], 7)]
            start: Block = {"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}}
            return _wrapped(index, start, deltas)


@lru_cache(maxsize=64)
def _text_frames(index: int, text: str, size: int) -> Sequence[bytes]:
    deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(text, size)]
    return _wrapped(index, {"type": "text", "text": ""}, deltas)


def _wrapped(index: int, start: Block, deltas: list[Block]) -> list[bytes]:
    event = {"type": "content_block_start", "index": index, "content_block": start}
    stream = [frame("content_block_start", event)]
    for delta in deltas:
        event = {"type": "content_block_delta", "index": index, "delta": delta}
        stream.append(frame("content_block_delta", event))
    stream.append(frame("content_block_stop", {"type": "content_block_stop", "index": index}))
    return stream


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def _spoken(text: str) -> str:
    """A dispatched JSON string speaks like a user's text."""
    dispatched = _DISPATCHED.fullmatch(text)
    return text if dispatched is None else msgspec.json.decode(unescape(dispatched[1]), type=str)


def _texts(holder: dict[str, Any]) -> list[str]:
    return [block["text"] for block in _blocks(holder) if block["type"] == "text"]


def _blocks(holder: dict[str, Any]) -> list[Block]:
    content = holder.get("content", "")
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
