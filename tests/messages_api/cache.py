"""Prompt-cache accounting by byte prefix, as the Messages API bills it. Pure.

A request is a row of blocks: tools, system, messages. The prefix up to a block is known when an earlier request put a
mark (``cache_control``) there. A mark looks back over 20 blocks for the longest known prefix; that much is read from
cache, the rest up to the last mark is written to it, what follows is plain input. A token is four bytes; a picture or a
PDF is 1,500 tokens.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec

LOOKBACK: Final = 20
_KEPT: Final = 200_000
_MEDIUM: Final = 1_500 * 4


class InputTokens(msgspec.Struct, frozen=True):
    """How the input of one request is billed."""

    fresh: int
    cache_read: int
    cache_write: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.fresh + self.cache_read + self.cache_write


class PromptCache:
    """The prefixes kept so far, oldest forgotten first."""

    def __init__(self, *, min_tokens: int = 0) -> None:
        self._min_tokens = min_tokens
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def account(self, body: dict[str, Any]) -> InputTokens:
        """Bill this request and keep its marked prefixes."""
        prefixes, marks, tokens = _prefixes(body)
        total = tokens[-1] if tokens else 0
        marks = [mark for mark in marks if tokens[mark] >= self._min_tokens]
        read = max((tokens[hit] for mark in marks if (hit := self._longest(prefixes, mark)) is not None), default=0)
        written = max(0, tokens[marks[-1]] - read) if marks else 0
        for mark in marks:
            self._keep(prefixes[mark])
        return InputTokens(fresh=total - read - written, cache_read=read, cache_write=written)

    def _longest(self, prefixes: list[bytes], mark: int) -> int | None:
        for position in range(mark, max(-1, mark - LOOKBACK - 1), -1):
            if prefixes[position] in self._known:
                return position
        return None

    def _keep(self, prefix: bytes) -> None:
        self._known[prefix] = None
        self._known.move_to_end(prefix)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)


def media_bytes(value: Any) -> int:
    """Bytes of base64 in it that are no tokens."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        data = fields.get("data") if fields.get("type") == "base64" else fields.get("url", fields.get("file_data"))
        return max(0, len(data) - _MEDIUM) if isinstance(data, str) else sum(map(media_bytes, fields.values()))
    return sum(map(media_bytes, cast("list[Any]", value))) if isinstance(value, list) else 0


def _prefixes(body: dict[str, Any]) -> tuple[list[bytes], list[int], list[int]]:
    """For each block: the hash of everything up to it, whether it is marked, the tokens up to it."""
    running = hashlib.blake2b(str(body.get("model")).encode(), digest_size=16)
    prefixes: list[bytes] = []
    marks: list[int] = []
    tokens: list[int] = []
    size = 0
    for role, block in _blocks(body):
        if "cache_control" in block:
            marks.append(len(prefixes))
            block = {key: part for key, part in block.items() if key != "cache_control"}
        canonical = role + msgspec.json.encode(block)
        size += len(canonical) - media_bytes(block)
        running.update(canonical)
        prefixes.append(running.digest())
        tokens.append(size // 4)
    return prefixes, marks, tokens


def _blocks(body: dict[str, Any]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    for tool in body.get("tools", ()):
        yield b"tool", tool
    for block in _as_blocks(body.get("system", ())):
        yield b"system", block
    # A change of the thinking settings invalidates the messages, not the tools and the system prompt.
    thinking = msgspec.json.encode(body.get("thinking"))
    for message in body.get("messages", ()):
        role = message["role"].encode() + thinking
        for block in _as_blocks(message["content"]):
            yield role, block


def _as_blocks(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
