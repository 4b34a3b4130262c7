"""The messages that wait for one actor: a bounded queue that knows lanes.

Messages of one lane start in order. A message without a lane (None) runs alone: it waits until nothing runs, and
whatever was sent after it waits for it. So `take` looks from the front for the first message whose lane is free and
not claimed by an earlier one. The mailbox decides nothing else: what becomes of a message is the activation's business.
"""

from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterator

from flue_actors.actors.envelope import Envelope


class Mailbox:
    """At most ``capacity`` waiting envelopes, in order of arrival."""

    __slots__ = ("_queue", "capacity")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._queue: deque[Envelope] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Envelope]:
        return iter(self._queue)

    def offer(self, envelope: Envelope) -> bool:
        """Put ``envelope`` last; False when the mailbox is full."""
        if len(self._queue) >= self.capacity:
            return False
        self._queue.append(envelope)
        return True

    def take(self, busy: Collection[Hashable | None]) -> Envelope | None:
        """Remove and return the first envelope that may start while the lanes ``busy`` run, if there is one."""
        queue = self._queue
        if not queue or None in busy:
            return None
        if not busy:
            return queue.popleft()
        claimed = set(busy)
        for index, envelope in enumerate(queue):
            if envelope.lane is None:
                return None
            if envelope.lane not in claimed:
                del queue[index]
                return envelope
        return None

    def remove(self, wanted: Callable[[Envelope], bool]) -> list[Envelope]:
        """Remove and return, in order, every envelope for which ``wanted`` holds."""
        removed = [envelope for envelope in self._queue if wanted(envelope)]
        if removed:
            gone = set(map(id, removed))
            self._queue = deque(envelope for envelope in self._queue if id(envelope) not in gone)
        return removed
