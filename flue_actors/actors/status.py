"""Reading an activation into the frozen records of `statistics`."""

from collections.abc import Iterator

from flue_actors.actors.activation import Activation
from flue_actors.actors.address import Address
from flue_actors.actors.envelope import Envelope
from flue_actors.actors.handling import Handling
from flue_actors.actors.statistics import ActorStatus, RunningMessage, State


def state_of(activation: Activation) -> State:
    """The state shown: ready with a message at work is "running"."""
    if activation.state == "ready" and activation.running:
        return "running"
    return activation.state


def status_of(activation: Activation) -> ActorStatus:
    """One actor as it is now."""
    now = activation.core.loop.time()
    return ActorStatus(
        address=activation.address,
        state=state_of(activation),
        depth=0 if activation.mailbox is None else len(activation.mailbox),
        running=tuple(running_of(h, h.envelope, now) for h in activation.running if h.envelope is not None),
        epoch=activation.epoch,
        nesting=activation.nesting,
        served=activation.served,
        failed=activation.failed,
        last_error=activation.last_error,
    )


def running_of(handling: Handling, envelope: Envelope, now: float) -> RunningMessage:
    """One running message as it is now."""
    return RunningMessage(
        message_id=envelope.message_id,
        lane=handling.lane,
        started_at=handling.started_at,
        age=now - handling.started_at,
        cancelled=handling.interrupted is not None,
        children=0 if handling.children is None else len(handling.children),
        waiting_on=tuple(waiting_on(handling)),
    )


def waiting_on(handling: Handling) -> Iterator[Address]:
    """Whose answers a running message waits for."""
    for envelope in handling.waiting or ():
        if isinstance(envelope.where, Handling):
            yield envelope.where.activation.address
        elif envelope.where is not None:
            yield envelope.where.address
