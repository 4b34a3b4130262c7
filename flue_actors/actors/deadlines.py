"""Deadlines of messages: loop time after which they must not start, and at which they are cancelled if they run."""

from typing import TYPE_CHECKING

from flue_actors.actors.envelope import Envelope
from flue_actors.actors.handling import Handling
from flue_actors.errors import DeadlineExceededError, FlueError

if TYPE_CHECKING:
    from flue_actors.actors.activation import Activation


def earliest(one: float | None, other: float | None) -> float | None:
    """The earlier of two deadlines, either of which may be missing."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def arm(activation: "Activation", envelope: Envelope) -> FlueError | None:
    """Have the message end at its deadline, wherever it is then; refuse it if that has passed."""
    deadline, loop = envelope.deadline, activation.core.loop
    if deadline is None:
        return None
    if deadline <= loop.time():
        return activation.drop(envelope, "expired", DeadlineExceededError())
    envelope.timer = loop.call_at(deadline, _expire, activation, envelope)
    return None


def _expire(activation: "Activation", envelope: Envelope) -> None:
    envelope.timer = None
    if isinstance(envelope.where, Handling):
        envelope.where.interrupt(DeadlineExceededError)
    else:
        activation.drop_waiting("expired", DeadlineExceededError, lambda waiting: waiting is envelope)
