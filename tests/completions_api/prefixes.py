"""What of a prompt a provider has seen before: the longest known row of whole messages. Pure. A token is four bytes."""

import hashlib
from typing import Any

import msgspec

from tests.messages_api.cache import InputTokens, media_bytes


class PrefixCache:
    """Every prefix ever sent."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def account(self, body: dict[str, Any]) -> InputTokens:
        """Bill this request and remember its prefixes."""
        running = hashlib.blake2b(str(body.get("model")).encode(), digest_size=16)
        size, read = 0, 0
        for part in (body.get("tools", []), *body["messages"]):
            encoded = msgspec.json.encode(part)
            running.update(encoded)
            size += len(encoded) - media_bytes(part)
            if running.digest() in self._known:
                read = size // 4
            self._known.add(running.digest())
        return InputTokens(fresh=size // 4 - read, cache_read=read, cache_write=0)
