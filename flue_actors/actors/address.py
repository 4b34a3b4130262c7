"""Addresses of actors, and the registered kinds that know how to build them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from flue_actors.actors.actor import Actor

DropReason = Literal[
    "overflow",  # the mailbox was full
    "busy",  # sent with if_busy="reject" while work was running or waiting
    "expired",  # its deadline passed while it waited
    "abandoned",  # its asker stopped waiting for it
    "aborted",  # aborted while it waited
    "cycle",  # the ask would have waited for itself
    "start_failed",  # the actor could not start
    "unavailable",  # the actor is backing off after failures, or the system is stopping
    "stopped",  # the actor, or the whole system, stopped first
]
"""Why a message was never handled."""

LeaveReason = Literal[
    "idle",  # nothing to do for a while
    "evicted",  # least recently used of too many
    "stopped",  # `ActorRef.stop`
    "parent_done",  # the message that spawned it is over
    "restarted",  # `Actor.on_failure` asked for a fresh actor
    "shutdown",  # the system stops
]
"""Why an actor leaves memory."""


class Address(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """Names one actor of a system, whether it is in memory or not."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"


class Kind:
    """What a system knows about all actors of one name."""

    __slots__ = ("capacity", "factory", "name", "permanent", "undelivered")

    def __init__(
        self,
        name: str,
        factory: "Callable[[Address], Actor]",
        *,
        capacity: int,
        undelivered: Callable[[Address, Any, DropReason], None] | None,
        permanent: bool = True,
    ) -> None:
        self.name = name
        self.factory = factory
        self.capacity = capacity
        self.undelivered = undelivered
        self.permanent = permanent
        """False for a child built by a bare factory: once it left, its address is dead."""
