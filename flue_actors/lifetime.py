"""What an instance used in its whole life, where there is a cap on it: read once, and counted on as inputs end."""

from typing import Final

import msgspec

from flue_actors.conversation.outcome import ZERO, add_usage, priced
from flue_actors.definition.limits import Limits
from flue_actors.ids import AgentKey
from flue_actors.messages import Usage
from flue_actors.storage import PutKv, Store

_TOTAL: Final = "total"
_decode: Final = msgspec.json.Decoder(Usage).decode
_encode: Final = msgspec.json.Encoder().encode


class Lifetime:
    """Of one instance, as long as something of it is under way: whichever actor works on what, all count here."""

    __slots__ = ("_is_capped", "_key", "_used")

    def __init__(self, key: AgentKey) -> None:
        self._key = key
        self._used: Usage | None = None
        self._is_capped: bool | None = None  # None: nobody said so yet

    async def used(self, store: Store, *limits: Limits) -> Usage | None:
        """What the instance used before, in its whole life; None when none of these asks. Raises StoreError."""
        self._is_capped = any(each.total_tokens is not None or each.total_cost is not None for each in limits)
        return (await self._total(store) or ZERO) if self._is_capped else None

    def begins_to_count(self) -> list[PutKv]:
        """The write that says that it is counted: also what is given up by a process that knows no caps counts then."""
        if not self._is_capped or self._used is not None:
            return []
        self._used = ZERO
        return [self._put_total(ZERO)]

    async def counts(self, store: Store, used: Usage) -> list[PutKv]:
        """What was used counts from here on, where there is a cap on it; the write that makes it durable.

        Raises:
            StoreError: What was used before could not be read.
        """
        if self._is_capped is False or used == ZERO:
            return []
        before = await self._total(store)
        if before is None and not self._is_capped:
            return []
        self._used = add_usage(before or ZERO, priced(used))
        return [self._put_total(self._used)]

    def forget(self) -> None:
        """A write was refused: what is in memory may not be what is stored."""
        self._used = None

    async def _total(self, store: Store) -> Usage | None:
        """None when nothing was counted yet."""
        if self._used is None:
            stored = (await store.kv(self._key, "usage")).get(_TOTAL)
            if stored is not None and self._used is None:  # nobody was quicker
                self._used = priced(_decode(stored))
        return self._used

    def _put_total(self, used: Usage) -> PutKv:
        return PutKv(key=self._key, kind="usage", name=_TOTAL, body=_encode(used))
