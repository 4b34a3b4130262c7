"""The attached children of one running message: a slot each while they work, and joined before it settles."""

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from flue_actors.actors.control import abort_for_good
from flue_actors.errors import FlueError

if TYPE_CHECKING:
    from flue_actors.actors.activation import Activation
    from flue_actors.actors.handling import Handling


class Children:
    """At most ``slots`` children work at a time; the others keep their messages and start, in turn, as slots free."""

    __slots__ = ("_changed", "_members", "_parent", "_queue", "_slots", "_working")

    def __init__(self, parent: "Handling", slots: int) -> None:
        self._parent = parent
        self._slots = slots
        self._members: dict[Activation, None] = {}
        self._working: set[Activation] = set()
        self._queue: dict[Activation, None] = {}
        self._changed: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._members)

    @property
    def deadline(self) -> float | None:
        """The parent message's deadline, which no child's message outlives."""
        return self._parent.deadline

    def at_work(self) -> "Iterator[Handling]":
        """What the children run at the moment."""
        for child in self._members:
            yield from child.running

    def adopt(self, child: "Activation") -> None:
        """Take in a child."""
        self._members[child] = None

    def acquire(self, child: "Activation") -> bool:
        """True when ``child`` may work; else it is pumped when a slot frees."""
        if child in self._working:
            return True
        if len(self._working) < self._slots:
            self._working.add(child)
            self._queue.pop(child, None)
            return True
        self._queue[child] = None
        return False

    def rest(self, child: "Activation") -> None:
        """``child`` has nothing to do: its slot goes to the next."""
        self._working.discard(child)
        while self._queue and len(self._working) < self._slots:
            following = next(iter(self._queue))
            del self._queue[following]
            following.pump()  # takes no slot when what waited for it has been dropped
        self._notify()

    def left(self, child: "Activation") -> None:
        """``child`` left memory for good."""
        self._members.pop(child, None)
        self._queue.pop(child, None)
        self.rest(child)

    def abort(self, make_error: Callable[[], FlueError]) -> None:
        """Cancel what the children run and drop what waits for them."""
        for child in tuple(self._members):
            abort_for_good(child, make_error)

    async def join(self, make_error: Callable[[], FlueError]) -> None:
        """Wait until every child has finished its messages and left.

        A cancellation meanwhile aborts the children instead of leaving them behind; each ends within its grace.
        """
        while self._members:
            for child in tuple(self._members):
                child.leave_when_idle("parent_done")
            if not self._members:
                return
            self._changed = asyncio.get_running_loop().create_future()
            try:
                await self._changed
            except asyncio.CancelledError:
                self.abort(make_error)

    def _notify(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
