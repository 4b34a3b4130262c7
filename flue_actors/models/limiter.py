"""How many calls one provider account gets at a time, and who is next.

One `ModelLimiter` per (provider, key), shared by every actor:

* at most ``max_concurrency`` calls run; the others wait, and freed slots go round the waiting tenants in turn, so one
  tenant's thousand calls delay another's single call by one slot, not by a thousand;
* an error that names a Retry-After shuts the gate for everybody until then: nobody finds out the hard way again;
* **background** calls (work that a restart interrupted) get a place while nobody else waits for one, and never more than
  half of the places. How many at a time is found out carefully: few at first, a quarter more with every round of
  successes, half as many after an answer that says "overloaded", and from then on one more for two rounds without.
"""

import asyncio
from collections import OrderedDict, deque
from types import TracebackType
from typing import Final

import msgspec

from flue_actors.errors import ModelError, ModelOverloadedError
from flue_actors.models.retry import MAX_RETRY_AFTER

_FIRST_ALLOWANCE: Final = 8
"""Background calls at a time before anything is known of the account."""

_FIRST_GROWTH: Final = 0.25
"""Per success, until the first overload: what is refused then is a fifth of that round at most."""

_LATER_GROWTH: Final = 0.5
"""Per round, afterwards."""


class LimiterStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """``running`` and ``waiting`` are now; ``started``, ``waited``, ``held`` (gate shut) and ``overloaded`` (answers that
    said so) count since the start. ``background_...`` are the part of them that background calls have, and how many of
    these may run at a time now."""

    max_concurrency: int
    running: int
    waiting: int
    started: int
    waited: int
    held: int
    overloaded: int
    background_running: int
    background_waiting: int
    background_allowed: int


class ModelLimiter:
    """See the module. Use: ``async with limiter.slot(tenant): ...``; belongs to one event loop.

    Attributes:
        allowance: How many background calls may run at a time.
    """

    def __init__(self, max_concurrency: int) -> None:
        self._max = max_concurrency
        self._running = 0
        self._started = 0
        self._waited = 0
        self._held = 0
        self._overloaded = 0
        self._opens_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = _Queue()
        self._background = _Queue()
        self._background_running = 0
        self.allowance = Allowance(max(1, max_concurrency // 2))

    def slot(self, tenant: str = "", *, background: bool = False) -> "Slot":
        """One call's place: enter it for the whole call. An error leaving it that names a Retry-After shuts the gate.

        Args:
            tenant: On whose behalf.
            background: It may wait until nobody else wants the place.
        """
        return Slot(self, tenant, background)

    async def acquire(self, tenant: str, *, background: bool = False) -> None:
        """Wait for a place. Cancelling gives it up."""
        if self._is_free() and (not background or (not self._background.tenants and self._has_background_room())):
            self._start(background)
            return
        self._waited += 1
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._background if background else self._waiting
        queue.add(tenant, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                queue.remove(tenant, waiter)
            else:
                self.release(background=background)
            raise

    def release(self, *, background: bool = False) -> None:
        """Give a place back; the next tenant's oldest waiter gets it."""
        self._running -= 1
        if background:
            self._background_running -= 1
        self._admit()

    def hold(self, seconds: float) -> None:
        """Start nothing for this long (at most a minute). A shorter hold never shortens a longer one."""
        loop = asyncio.get_running_loop()
        opens_at = loop.time() + min(seconds, MAX_RETRY_AFTER)
        if opens_at <= self._opens_at:
            return
        self._held += 1
        self._opens_at = opens_at
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(opens_at, self._open)

    def failed(self, error: ModelError, round: int) -> None:
        """A call that began in this round of the `allowance` got this answer."""
        if isinstance(error, ModelOverloadedError):
            self._overloaded += 1
            self.allowance.shrink(round)
        if error.retry_after is not None:
            self.hold(error.retry_after)

    def statistics(self) -> LimiterStatistics:
        """Counters for `Runtime.snapshot`."""
        return LimiterStatistics(
            max_concurrency=self._max,
            running=self._running,
            waiting=len(self._waiting) + len(self._background),
            started=self._started,
            waited=self._waited,
            held=self._held,
            overloaded=self._overloaded,
            background_running=self._background_running,
            background_waiting=len(self._background),
            background_allowed=self.allowance.calls,
        )

    def close(self) -> None:
        """Drop the gate's timer, so nothing keeps a stopped loop busy."""
        if self._timer is not None:
            self._open()

    def _is_free(self) -> bool:
        """Somebody who comes now need not wait behind interactive calls."""
        return self._running < self._max and not self._waiting.tenants and self._timer is None

    def _has_background_room(self) -> bool:
        return self._background_running < self.allowance.calls

    def _open(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._admit()

    def _start(self, background: bool) -> None:
        self._running += 1
        self._started += 1
        if background:
            self._background_running += 1

    def _admit(self) -> None:
        while self._waiting.tenants and self._running < self._max and self._timer is None:
            self._give(self._waiting.next(), background=False)
        while self._background.tenants and self._is_free() and self._has_background_room():
            self._give(self._background.next(), background=True)

    def _give(self, waiter: "asyncio.Future[None]", *, background: bool) -> None:
        if not waiter.done():
            self._start(background)
            waiter.set_result(None)


class Allowance:
    """How many background calls may run at a time: a quarter more from round to round until the first overload; then it
    halves on an overload and grows by one in two rounds. Pure.

    5,000 calls of a second each, against an account that takes 50 at a time and refuses the others: 10 are refused.

    Attributes:
        calls: That many.
        round: Changes when it shrinks: calls that were under way then say nothing about the smaller number.
    """

    __slots__ = ("_careful", "_exact", "_most", "calls", "round")

    def __init__(self, most: int) -> None:
        self._most = most
        self._careful = False
        self._exact = float(min(most, _FIRST_ALLOWANCE))
        self.calls = int(self._exact)
        self.round = 0

    def grow(self, round: int) -> None:
        """A background call that began in this round succeeded."""
        if round == self.round and self.calls < self._most:
            self._exact += _LATER_GROWTH / self._exact if self._careful else _FIRST_GROWTH
            self.calls = int(self._exact)

    def shrink(self, round: int) -> None:
        """A call that began in this round was refused."""
        if round == self.round:
            self._careful = True
            self._exact = max(1.0, self._exact / 2)
            self.calls = int(self._exact)
            self.round += 1


class _Queue:
    """Who waits: the tenants take turns, one tenant's calls keep their order."""

    __slots__ = ("tenants",)

    def __init__(self) -> None:
        self.tenants: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self.tenants.values()))

    def add(self, tenant: str, waiter: "asyncio.Future[None]") -> None:
        self.tenants.setdefault(tenant, deque()).append(waiter)

    def next(self) -> "asyncio.Future[None]":
        tenant, waiters = self.tenants.popitem(last=False)
        waiter = waiters.popleft()
        if waiters:
            self.tenants[tenant] = waiters
        return waiter

    def remove(self, tenant: str, waiter: "asyncio.Future[None]") -> None:
        waiters = self.tenants.get(tenant)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self.tenants[tenant]


class Slot:
    """An async context manager; see `ModelLimiter.slot`."""

    __slots__ = ("_background", "_limiter", "_round", "_tenant")

    def __init__(self, limiter: ModelLimiter, tenant: str, background: bool) -> None:
        self._limiter = limiter
        self._tenant = tenant
        self._background = background
        self._round = 0

    async def __aenter__(self) -> None:
        await self._limiter.acquire(self._tenant, background=self._background)
        self._round = self._limiter.allowance.round

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ModelError):
            self._limiter.failed(error, self._round)
        elif error is None and self._background:
            self._limiter.allowance.grow(self._round)
        self._limiter.release(background=self._background)
