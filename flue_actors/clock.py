"""Wall-clock time, injectable. Timers use the event loop's own clock, so a virtual-time loop moves them too.

The wall clock is for display and for rows only: no decision about order, ownership or timeouts rests on it.
"""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """Where timestamps come from."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...


class SystemClock:
    """The machine's clock."""

    __slots__ = ()

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000


def iso(ms: int) -> str:
    """``2026-11-21T09:30:00.123Z`` for milliseconds since the epoch: the wire's timestamp format."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    # strftime costs 1.5 us, and every event has a timestamp.
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
