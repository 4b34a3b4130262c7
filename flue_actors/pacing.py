"""How much of what a restart left undone is worked on at a time.

After a crash thousands of turns are taken up again. Each reads its history and builds its context before its first model
call waits in line; all at once they would hold up the loop and the store's reader for seconds, and with them everybody
who writes to an idle instance. So a few work, the others wait in the order in which their inputs were accepted; and an
instance whose user is back goes ahead of them.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable
from types import TracebackType
from typing import Final

import msgspec

RESUMED_AT_A_TIME: Final = 64


class PacerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """``working`` and ``waiting`` are now; ``hurried``, those that did not wait their turn, count since the start."""

    limit: int
    working: int
    waiting: int
    hurried: int


class Pacer:
    """Use: ``async with pacer.turn(key): ...`` around the work; belongs to one event loop.

    Args:
        limit: How many work at a time; those that are in a hurry come on top.
    """

    def __init__(self, limit: int = RESUMED_AT_A_TIME) -> None:
        self._limit = limit
        self._working = 0
        self._hurried = 0
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    def turn(self, key: Hashable, *, hurry: bool = False) -> "PacedTurn":
        """One turn's place, to be entered for all its work.

        Args:
            key: Whose turn it is: what `hurry` is told.
            hurry: It does not wait.
        """
        return PacedTurn(self, key, hurry)

    def hurry(self, key: Hashable) -> None:
        """Whoever waits with this key waits no more. Costs nothing where nobody does."""
        for waiter in self._waiting.pop(key, ()):
            if not waiter.done():
                self._hurried += 1
                self._start(waiter)

    async def acquire(self, key: Hashable, *, hurry: bool = False) -> None:
        """Wait for a place. Cancelling gives it up."""
        if hurry or (self._working < self._limit and not self._waiting):
            self._hurried += hurry
            self._working += 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._forget(key, waiter)
            else:
                self.release()
            raise

    def release(self) -> None:
        """Give a place back; who waits longest gets it."""
        self._working -= 1
        while self._waiting and self._working < self._limit:
            key, waiters = next(iter(self._waiting.items()))
            waiter = waiters.popleft()
            if not waiters:
                del self._waiting[key]
            if not waiter.done():
                self._start(waiter)

    def statistics(self) -> PacerStatistics:
        """Counters for `Runtime.snapshot`."""
        waiting = sum(map(len, self._waiting.values()))
        return PacerStatistics(limit=self._limit, working=self._working, waiting=waiting, hurried=self._hurried)

    def _start(self, waiter: "asyncio.Future[None]") -> None:
        self._working += 1
        waiter.set_result(None)

    def _forget(self, key: Hashable, waiter: "asyncio.Future[None]") -> None:
        waiters = self._waiting.get(key)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiting[key]


class PacedTurn:
    """An async context manager; see `Pacer.turn`."""

    __slots__ = ("_hurry", "_key", "_pacer")

    def __init__(self, pacer: Pacer, key: Hashable, hurry: bool) -> None:
        self._pacer = pacer
        self._key = key
        self._hurry = hurry

    async def __aenter__(self) -> None:
        await self._pacer.acquire(self._key, hurry=self._hurry)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pacer.release()
