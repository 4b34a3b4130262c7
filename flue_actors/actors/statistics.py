"""What can be seen of a system from outside, as frozen records."""

from collections.abc import Hashable
from typing import Literal

import msgspec

from flue_actors.actors.address import Address, DropReason

State = Literal["cold", "activating", "ready", "running", "passivating", "gone"]
"""Where an actor is in its life; `activation` has the transitions."""


class RunningMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message in the hands of its handler. ``started_at`` is loop time; ``age`` is in seconds."""

    message_id: Hashable | None
    lane: Hashable | None
    started_at: float
    age: float
    cancelled: bool
    children: int
    waiting_on: tuple[Address, ...]


class ActorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One actor. ``depth`` is how many messages wait; ``nesting`` how deep it is below an actor nobody spawned."""

    address: Address
    state: State
    depth: int = 0
    running: tuple[RunningMessage, ...] = ()
    epoch: int = 0
    nesting: int = 0
    served: int = 0
    failed: int = 0
    last_error: str | None = None


class BlockingStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The blocking pool. ``hosts`` are threads in service; ``abandoned`` ones run on past their deadline."""

    hosts: int
    idle: int
    waiting: int
    abandoned: int
    abandoned_total: int
    calls: int


class SystemSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A whole system at one moment.

    Attributes:
        actors: Every actor in memory, least recently used first.
        running: Messages being handled.
        waiting: Messages waiting for their actor.
        ingress: Messages of foreign threads waiting for the loop.
        served: Messages handled since the start, failed ones included.
        failed: Messages whose handler raised, or was cancelled, since the start.
        activations: Actors built since the start.
        left: Actors that left memory since the start.
        orphans: Fenced messages whose task is still alive.
        fenced: Messages fenced since the start.
        backing_off: Actors that must not start at present.
        dead_letters: Messages never handled, by reason.
    """

    name: str
    actors: tuple[ActorStatus, ...]
    running: int
    waiting: int
    ingress: int
    served: int
    failed: int
    activations: int
    left: int
    orphans: int
    fenced: int
    backing_off: int
    dead_letters: dict[DropReason, int]
    blocking: BlockingStatistics
