"""How many calls one provider account gets at a time, and who is next.

One `ModelLimiter` per (provider, key), shared by every actor:

* at most ``max_concurrency`` calls run; the others wait, and freed slots go round the waiting tenants in turn, so one
  tenant's thousand calls delay another's single call by one slot, not by a thousand;
* an error that names a Retry-After shuts the gate for everybody until then: nobody finds out the hard way again.
"""

import asyncio
from collections import OrderedDict, deque
from types import TracebackType

import msgspec

from flue_actors.errors import ModelError
from flue_actors.models.retry import MAX_RETRY_AFTER


class LimiterStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """``running`` and ``waiting`` are now; ``started``, ``waited`` and ``held`` (gate shut) count since the start."""

    max_concurrency: int
    running: int
    waiting: int
    started: int
    waited: int
    held: int


class ModelLimiter:
    """See the module. Use: ``async with limiter.slot(tenant): ...``; belongs to one event loop."""

    def __init__(self, max_concurrency: int) -> None:
        self._max = max_concurrency
        self._running = 0
        self._started = 0
        self._waited = 0
        self._held = 0
        self._opens_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def slot(self, tenant: str = "") -> "Slot":
        """One call's place: enter it for the whole call. An error leaving it that names a Retry-After shuts the gate."""
        return Slot(self, tenant)

    async def acquire(self, tenant: str) -> None:
        """Wait for a place. Cancelling gives it up."""
        if self._running < self._max and not self._waiting and not self._is_shut():
            self._start()
            return
        self._waited += 1
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._forget(tenant, waiter)
            else:
                self.release()
            raise

    def release(self) -> None:
        """Give a place back; the next tenant's oldest waiter gets it."""
        self._running -= 1
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

    def statistics(self) -> LimiterStatistics:
        """Counters for `Runtime.snapshot`."""
        return LimiterStatistics(
            max_concurrency=self._max,
            running=self._running,
            waiting=sum(map(len, self._waiting.values())),
            started=self._started,
            waited=self._waited,
            held=self._held,
        )

    def close(self) -> None:
        """Drop the gate's timer, so nothing keeps a stopped loop busy."""
        if self._timer is not None:
            self._open()

    def _is_shut(self) -> bool:
        return self._timer is not None

    def _open(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._admit()

    def _start(self) -> None:
        self._running += 1
        self._started += 1

    def _admit(self) -> None:
        while self._waiting and self._running < self._max and not self._is_shut():
            tenant, waiters = self._waiting.popitem(last=False)
            waiter = waiters.popleft()
            if waiters:
                self._waiting[tenant] = waiters
            if not waiter.done():
                self._start()
                waiter.set_result(None)

    def _forget(self, tenant: str, waiter: asyncio.Future[None]) -> None:
        waiters = self._waiting.get(tenant)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiting[tenant]


class Slot:
    """An async context manager; see `ModelLimiter.slot`."""

    __slots__ = ("_limiter", "_tenant")

    def __init__(self, limiter: ModelLimiter, tenant: str) -> None:
        self._limiter = limiter
        self._tenant = tenant

    async def __aenter__(self) -> None:
        await self._limiter.acquire(self._tenant)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ModelError) and error.retry_after is not None:
            self._limiter.hold(error.retry_after)
        self._limiter.release()
