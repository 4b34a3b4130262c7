"""The actors in memory, least recently used first."""

from collections import OrderedDict

from flue_actors.actors.activation import Activation
from flue_actors.actors.address import Address

_SMALL = 1_024


class Directory:
    """Address to activation, in order of last use. An entry is the actor: no entry, no memory."""

    __slots__ = ("_peak", "entries")

    def __init__(self) -> None:
        self.entries: OrderedDict[Address, Activation] = OrderedDict()
        self._peak = _SMALL

    def add(self, activation: Activation) -> None:
        """Enter an actor as the most recently used."""
        self.entries[activation.address] = activation
        self._peak = max(self._peak, len(self.entries))

    def remove(self, activation: Activation) -> None:
        """Take an actor out, if it is the one entered under its address."""
        if self.entries.get(activation.address) is activation:
            del self.entries[activation.address]
            self._shrink()

    def idle_since(self, cutoff: float, most: int) -> list[Activation]:
        """Up to ``most`` idle actors last used at or before ``cutoff``, least recently used first."""
        idle: list[Activation] = []
        for activation in self.entries.values():
            if activation.last_used > cutoff or len(idle) == most:
                break
            if is_idle(activation):
                idle.append(activation)
        return idle

    def least_used(self, among: int) -> Activation | None:
        """The least recently used idle actor of the first ``among``; busy ones met on the way count as used now."""
        for _ in range(min(among, len(self.entries))):
            address, activation = next(iter(self.entries.items()))
            if is_idle(activation):
                return activation
            self.entries.move_to_end(address)
        return None

    def _shrink(self) -> None:
        # A dict keeps the table of its largest day: 100,000 entries leave 10 MB behind.
        size = len(self.entries)
        if size * 8 < self._peak and self._peak > _SMALL:
            self.entries = OrderedDict(self.entries)
            self._peak = max(size, _SMALL)


def is_idle(activation: Activation) -> bool:
    """True when the actor may leave: nothing runs or waits, it is not on its way in or out, and no message needs it."""
    return (
        activation.scope is None
        and not activation.running
        and activation.mailbox is None
        and activation.leaving is None
        and activation.state in ("ready", "cold")
    )
