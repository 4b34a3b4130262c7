"""A timeout that starts anew whenever something happens."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self


class IdleTimeout:
    """``async with IdleTimeout(120, every=1, tick=save) as idle``: TimeoutError when `touch` was not called for so long.

    `touch` only notes the time (60 ns); a timer looks at it now and then, and calls ``tick`` each time. Re-arming
    `asyncio.timeout` at every delta would cost 3.5 us each.

    Args:
        every: Seconds between two looks.
    """

    __slots__ = ("_every", "_last", "_loop", "_scope", "_seconds", "_tick", "_timer")

    def __init__(self, seconds: float, *, every: float, tick: Callable[[], object]) -> None:
        self._seconds = seconds
        self._every = every
        self._tick = tick
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._scope = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    def touch(self) -> None:
        """Something happened."""
        self._last = self._loop.time()

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._timer = self._loop.call_later(min(self._every, self._seconds), self._check)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._timer is not None:
            self._timer.cancel()
        return await self._scope.__aexit__(kind, error, trace)

    def _check(self) -> None:
        self._tick()
        due, now = self._last + self._seconds, self._loop.time()
        if now >= due:
            self._scope.reschedule(now)
        else:
            self._timer = self._loop.call_at(min(due, now + self._every), self._check)
