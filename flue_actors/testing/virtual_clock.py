"""A wall clock for tests: it moves with the event loop's time, and by hand."""

import asyncio
from datetime import UTC, datetime
from typing import Final

START: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


class VirtualClock:
    """Wall-clock time that passes as the running loop's does, in virtual time as in real.

    Args:
        start: What it shows at the loop's time 0.
    """

    def __init__(self, start: datetime = START) -> None:
        self._offset_ms = round(start.timestamp() * 1000)

    def now_ms(self) -> int:
        """See `flue_actors.clock.Clock`."""
        return self._offset_ms + round(_loop_time() * 1000)

    def advance(self, seconds: float) -> None:
        """Put it forward, as if the machine had been off that long; no timer fires."""
        self._offset_ms += round(seconds * 1000)


def _loop_time() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:  # outside of a loop it stands still
        return 0.0
