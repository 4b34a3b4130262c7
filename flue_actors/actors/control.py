"""The system lane: what acts on an actor at once, past its mailbox, however full that is."""

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from flue_actors.actors.handling import CREATED
from flue_actors.actors.refusals import cancelled_outside
from flue_actors.actors.reply import Reply
from flue_actors.errors import ActorStoppedError, FlueError

if TYPE_CHECKING:
    from flue_actors.actors.activation import Activation


def abort_messages(activation: "Activation", message_id: Hashable | None, make_error: Callable[[], FlueError]) -> int:
    """Cancel or drop the messages with this id (None: all of them); returns how many."""
    hit = 0
    for handling in activation.running:
        if handling.envelope is not None and message_id in (None, handling.envelope.message_id):
            hit += handling.interrupt(make_error)
    dropped = activation.drop_waiting("aborted", make_error, lambda e: message_id in (None, e.message_id))
    return hit + dropped


def abort_for_good(activation: "Activation", make_error: Callable[[], FlueError]) -> None:
    """Cancel everything, hooks included, drop what waits, and leave."""
    activation.drop_waiting("aborted", make_error)
    interrupt_all(activation, make_error)
    activation.leave("parent_done")


def stop_activation(activation: "Activation", reply: Reply[bool]) -> None:
    """Drop what waits, let what runs end, then leave; ``reply`` gets True after `Actor.on_stop`."""
    activation.stoppers = [*(activation.stoppers or ()), reply]
    activation.drop_waiting("stopped", ActorStoppedError)
    activation.leave("stopped")


def interrupt_all(activation: "Activation", make_error: Callable[[], FlueError]) -> None:
    """Cancel everything that runs, hooks included."""
    for handling in activation.running:
        handling.interrupt(make_error)


def fence_all(activation: "Activation") -> None:
    """Give up on everything that still runs after its cancellation."""
    for handling in activation.running:
        activation.fence(handling)


def free_lost(activation: "Activation") -> None:
    """End what a foreign hand cancelled before its first step: its coroutine was never entered."""
    for handling in activation.running:
        if handling.phase == CREATED and handling.task is not None and handling.task.done():
            handling.interrupt(cancelled_outside)
            activation.ended(handling, None, handling.interrupted)
