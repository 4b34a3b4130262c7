"""Refusing asks that could only wait for themselves.

The wait-for graph has one node per *running message*, not per actor: an actor with two lanes may wait in one of them
and answer in the other. A message waits for the messages that run its asks, for those that block its queued asks, and
for its attached children (it cannot settle before them). The check runs when a handler asks, so it costs nothing to
messages from outside.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def reaches(start: Iterable[Node], goal: Node, waits_for: Callable[[Node], Iterable[Node]]) -> bool:
    """True when ``goal`` is among ``start`` or among what those, step by step, wait for."""
    frontier = list(start)
    seen: set[Node] = set()
    while frontier:
        node = frontier.pop()
        if node is goal:
            return True
        if node not in seen:
            seen.add(node)
            frontier.extend(waits_for(node))
    return False
