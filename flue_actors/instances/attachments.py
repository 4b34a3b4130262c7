"""The bytes of pictures and files: written with the message that brings them, read when a model is to see them."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from flue_actors.definition.attaching import File, Image
from flue_actors.ids import AgentKey
from flue_actors.messages import FileContent, ImageContent, Message, SignalMessage
from flue_actors.storage import PutAttachment, Store

KEPT_BYTES: Final = 32 * 1024 * 1024
"""Attachments one active instance keeps in memory; others are read again."""


def attachment_of(key: AgentKey, given: Image | File) -> PutAttachment:
    """The write that keeps its bytes."""
    return PutAttachment(key=key, id=given.content.attachment, mime_type=given.mime_type, body=given.data)


class Attachments:
    """Of one active instance."""

    __slots__ = ("_kept", "_key", "_size", "_store")

    def __init__(self, store: Store, key: AgentKey) -> None:
        self._store = store
        self._key = key
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    async def of(self, messages: Iterable[Message]) -> Mapping[str, bytes]:
        """The bytes of everything in these messages, as far as it is stored.

        Raises:
            StoreError: The store refused.
        """
        found: dict[str, bytes] = {}
        for message in messages:
            if isinstance(message, SignalMessage):
                continue
            for part in message.content:
                if isinstance(part, ImageContent | FileContent) and part.attachment not in found:
                    body = await self._one(part.attachment)
                    if body is not None:
                        found[part.attachment] = body
        return found

    async def _one(self, id: str) -> bytes | None:
        body = self._kept.get(id)
        if body is not None:
            self._kept.move_to_end(id)
            return body
        stored = await self._store.attachment(self._key, id)
        if stored is None:
            return None
        self._kept[id] = stored.body
        self._size += len(stored.body)
        while self._size > KEPT_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._size -= len(dropped)
        return stored.body
