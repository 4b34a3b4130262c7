"""Pictures and files on their way into a request: as base64, encoded once however many turns send them again."""

import base64
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec

from flue_actors.messages import FileContent, ImageContent

MOST: Final = 64 * 1024 * 1024
"""Characters of base64 that one client keeps. Encoding 10 MiB takes 20 ms, and every turn sends a picture again."""


class Base64Cache:
    """Base64 by content id; the least recently used goes first. Safe in any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def encoded(self, id: str, data: bytes) -> str:
        """These bytes in base64; ``id`` names them."""
        with self._lock:
            if (known := self._kept.get(id)) is not None:
                self._kept.move_to_end(id)
                return known
        text = base64.b64encode(data).decode("ascii")
        with self._lock:
            if id not in self._kept:
                self._keep(id, text)
        return text

    def _keep(self, id: str, text: str) -> None:
        self._kept[id] = text
        self._size += len(text)
        while self._size > self._most:
            self._size -= len(self._kept.popitem(last=False)[1])


class Attachments(msgspec.Struct, frozen=True):
    """The bytes behind a request's pictures and files, by the names that its messages use."""

    data: Mapping[str, bytes]
    cache: Base64Cache

    def base64(self, block: ImageContent | FileContent) -> str | None:
        """Its bytes in base64; None when they are gone."""
        data = self.data.get(block.attachment)
        return None if data is None else self.cache.encoded(block.attachment, data)

    def text(self, block: FileContent) -> str | None:
        """A text file's text; None when it is gone."""
        data = self.data.get(block.attachment)
        return None if data is None else data.decode(errors="replace")


def gone(block: ImageContent | FileContent) -> str:
    """What the model reads in place of bytes that are gone."""
    if isinstance(block, ImageContent):
        return "[A picture was here that is no longer available.]"
    return f"[The file {block.name} was here and is no longer available.]"
