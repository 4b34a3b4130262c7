"""Wall-clock time, injectable. Timers use the event loop's own clock, so a virtual-time loop moves them too.

The wall clock is for display and for rows only: no decision about order, ownership or timeouts rests on it.
"""

import time
from datetime import UTC, datetime
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
    stamp = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
