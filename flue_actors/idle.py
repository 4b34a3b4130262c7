"""A timeout that starts anew whenever something happens."""

import asyncio
from types import TracebackType
from typing import Self


class IdleTimeout:
    """``async with IdleTimeout(120) as idle``: TimeoutError when `touch` was not called for that many seconds.

    `touch` only notes the time (60 ns); one timer per window looks at it. Re-arming `asyncio.timeout` at every delta
    would cost 3.5 us each.
    """

    __slots__ = ("_last", "_loop", "_scope", "_seconds", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._scope = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    def touch(self) -> None:
        """Something happened."""
        self._last = self._loop.time()

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._timer = self._loop.call_later(self._seconds, self._check)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._timer is not None:
            self._timer.cancel()
        return await self._scope.__aexit__(kind, error, trace)

    def _check(self) -> None:
        due = self._last + self._seconds
        if self._loop.time() >= due:
            self._scope.reschedule(self._loop.time())
        else:
            self._timer = self._loop.call_at(due, self._check)
