"""Messages that were never handled: the latest few for inspection, and how many there were by reason."""

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import msgspec

from flue_actors.actors.address import Address, DropReason


class DeadLetter(msgspec.Struct, frozen=True):
    """One message that was never handled. ``at`` is in milliseconds since the epoch."""

    address: Address
    message: Any
    reason: DropReason
    at: int


class DeadLetters:
    """A bounded ring of the latest dead letters, with counters since the start. For operators, not for delivery."""

    __slots__ = ("_counts", "_ring", "_subscribers")

    def __init__(self, size: int) -> None:
        self._ring: deque[DeadLetter] = deque(maxlen=size)
        self._counts: Counter[DropReason] = Counter()
        self._subscribers: list[Callable[[DeadLetter], None]] = []

    def __len__(self) -> int:
        """How many there were since the start."""
        return self._counts.total()

    def latest(self) -> list[DeadLetter]:
        """Those still kept, oldest first."""
        return list(self._ring)

    def counts(self) -> dict[DropReason, int]:
        """How many there were, by reason."""
        return dict(self._counts)

    def subscribe(self, callback: Callable[[DeadLetter], None]) -> Callable[[], None]:
        """Call ``callback`` with every further dead letter, on the loop; it must not raise. Returns the way out."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def add(self, letter: DeadLetter) -> None:
        """Record one."""
        self._ring.append(letter)
        self._counts[letter.reason] += 1
        for callback in tuple(self._subscribers):
            callback(letter)
