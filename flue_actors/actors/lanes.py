"""Which messages of one actor may run side by side. Pure, but for asking the user's `Actor.lane_of`.

Two lanes conflict when they are equal or one of them is None: a message without a lane runs alone.
"""

import logging
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from flue_actors.actors.envelope import Envelope

if TYPE_CHECKING:
    from flue_actors.actors.actor import Actor
    from flue_actors.actors.handling import Handling

log = logging.getLogger(__name__)


def conflicts(one: Hashable | None, other: Hashable | None) -> bool:
    """True when messages of these lanes must not run side by side."""
    return one is None or other is None or one == other


def ask_lane(actor: "Actor", envelope: Envelope) -> Hashable | None:
    """What the actor says; None when it raises or says something that cannot be a lane."""
    try:
        lane = actor.lane_of(envelope.message)
        hash(lane)
    except Exception:
        log.exception("lane_of() of %s raised; the message runs alone", actor.context.address)
        return None
    return lane


def blocking(envelope: Envelope, running: "Sequence[Handling]", waiting: Iterable[Envelope]) -> "Sequence[Handling]":
    """What runs now and must end before ``envelope`` may start, whether it waits already or is about to."""
    if envelope.lane is None:
        return running
    for ahead in waiting:
        if ahead is envelope:
            break
        if ahead.lane is None:  # it waits for everything that runs, and ``envelope`` waits for it
            return running
    return [handling for handling in running if conflicts(envelope.lane, handling.lane)]
