"""Does the peer still read what was written to it? Pure."""


class ReaderWatch:
    """Watches one connection's unsent bytes while they are too many. Progress counts, not how long a backlog takes."""

    __slots__ = ("_left", "_since")

    def __init__(self) -> None:
        self._since: float | None = None
        self._left = 0

    @property
    def behind(self) -> bool:
        """True from `begin` to `end`."""
        return self._since is not None

    def begin(self, now: float, left: int) -> None:
        """Too much is unsent: ``left`` bytes."""
        self._since, self._left = now, left

    def end(self) -> None:
        """The peer has read enough of it."""
        self._since = None

    def stalled(self, now: float, left: int, patience: float) -> bool:
        """True if ``left`` has not become less for ``patience`` seconds."""
        if self._since is None:
            return False
        if left < self._left:
            self._since, self._left = now, left
        return now - self._since > patience
