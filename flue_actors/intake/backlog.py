"""What an earlier process accepted and did not settle: taken up in order, a little at a time.

All of it is live from the start on (counted, in its order, with an outcome to wait for), but only so many instances work
on theirs at once: five thousand turns that begin together would read five thousand histories while somebody waits for an
answer. An instance that is sent something new, or aborted, takes up its own at once.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from flue_actors.ids import AgentKey
from flue_actors.submissions import Pending

AT_ONCE: Final = 64
"""Instances that work on what was left, at the same time."""


class Backlog:
    """Holds inputs back. ``deliver`` hands one to its actor."""

    __slots__ = ("_at_once", "_begun", "_closed", "_deliver", "_held", "_taken")

    def __init__(self, deliver: Callable[[Pending], None], at_once: int = AT_ONCE) -> None:
        self._deliver = deliver
        self._at_once = at_once
        self._held: OrderedDict[AgentKey, list[Pending]] = OrderedDict()
        self._taken: dict[AgentKey, set[Pending]] = {}  # what of an instance's has not ended
        self._begun = False
        self._closed = False

    def __len__(self) -> int:
        """How many instances have not begun."""
        return len(self._held)

    def hold(self, inputs: Iterable[Pending]) -> None:
        """Take these, in the order of their acceptance."""
        for pending in inputs:
            self._held.setdefault(pending.submission.key, []).append(pending)
        self._fill()

    def begin(self) -> None:
        """Work on what is held. Until then only instances that are sent something do."""
        self._begun = True
        self._fill()

    def take_up(self, key: AgentKey) -> None:
        """This instance's turn is now, whoever else waits."""
        held = self._held.pop(key, None)
        if held is not None:
            self._begin(key, held)

    def ended(self, pending: Pending) -> None:
        """One that was delivered is over."""
        taken = self._taken.get(pending.submission.key)
        if taken is None or pending not in taken:
            return  # it came after the start
        taken.remove(pending)
        if not taken:
            del self._taken[pending.submission.key]
            self._fill()

    def close(self) -> list[Pending]:
        """Begin nothing more; returns what was not begun."""
        self._closed = True
        left = [pending for held in self._held.values() for pending in held]
        self._held.clear()
        return left

    def _fill(self) -> None:
        while self._held and len(self._taken) < self._at_once and self._begun and not self._closed:
            key, held = self._held.popitem(last=False)
            self._begin(key, held)

    def _begin(self, key: AgentKey, held: list[Pending]) -> None:
        self._taken.setdefault(key, set()).update(held)
        for pending in held:
            self._deliver(pending)
