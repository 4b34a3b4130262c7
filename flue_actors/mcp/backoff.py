"""How soon a server that could not be reached is asked again. Pure: the time is an argument."""

from typing import Final

FIRST: Final = 1.0
LONGEST: Final = 30.0
"""Seconds."""


class Backoff:
    """Doubles from `FIRST` to `LONGEST` with every failure, and begins anew after a success."""

    __slots__ = ("_delay", "_until")

    def __init__(self) -> None:
        self._delay = 0.0
        self._until = 0.0

    def remaining(self, now: float) -> float:
        """Seconds until the next attempt may be made; 0 = now."""
        return max(0.0, self._until - now) if self._delay else 0.0

    def failed(self, now: float) -> None:
        """An attempt failed."""
        self._delay = min(max(FIRST, 2 * self._delay), LONGEST)
        self._until = now + self._delay

    def succeeded(self) -> None:
        """An attempt did not."""
        self._delay = 0.0
