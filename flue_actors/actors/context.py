"""`ActorContext`: what an actor knows of its place, and what it may ask of its system."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from flue_actors.actors.address import Address
from flue_actors.actors.handling import FENCED, here
from flue_actors.errors import FlueError

if TYPE_CHECKING:
    from flue_actors.actors.activation import Activation
    from flue_actors.actors.actor import Actor
    from flue_actors.actors.ref import ActorRef
    from flue_actors.actors.system import ActorSystem


class ActorContext:
    """An actor's place in its system; `Actor.context`."""

    __slots__ = ("_activation",)

    def __init__(self, activation: "Activation") -> None:
        self._activation = activation

    @property
    def address(self) -> Address:
        """The actor's address."""
        return self._activation.address

    @property
    def ref(self) -> "ActorRef":
        """The actor's own ref."""
        return self._activation.core.ref(self._activation.address)

    @property
    def system(self) -> "ActorSystem":
        """The system it lives in."""
        return self._activation.core.system

    @property
    def epoch(self) -> int:
        """The incarnation: higher each time the actor is built. Inside a handler, that of the handler."""
        handling = here()
        if handling is not None and handling.activation is self._activation:
            return handling.epoch
        return self._activation.epoch

    @property
    def fenced(self) -> bool:
        """True in a handler that ignored its cancellation: its asker has been told, its writes must be refused."""
        handling = here()
        return handling is not None and handling.phase == FENCED

    @property
    def deadline(self) -> float | None:
        """Loop time at which the message being handled is cancelled."""
        handling = here()
        return None if handling is None else handling.deadline

    @property
    def interrupted(self) -> FlueError | None:
        """Why the message being handled was cancelled (what its asker will get); None when it was not."""
        handling = here()
        return None if handling is None else handling.interrupted

    def expire_after(self, seconds: float) -> None:
        """Give the message being handled at most this long from now: then it is cancelled, and fenced after the grace.

        A deadline it already has stays if it is earlier.
        """
        handling = here()
        if handling is not None:
            handling.expire_after(seconds)

    def spawn(
        self, kind: "str | Callable[[Address], Actor]", id: str | None = None, *, detached: bool = False
    ) -> "ActorRef":
        """Make a child actor of the message being handled.

        The child is cancelled with the message and joined before it settles. A ``detached`` one has its own life.

        Args:
            kind: A registered kind, or a factory. A factory's child is gone for good once it left memory.
            id: The child's id; made up when None.

        Raises:
            DepthLimitError: Children nest too deep.
            ActorError: The address is taken, or an attached child is wanted where no message is being handled, or
                where it was cancelled.
        """
        return self._activation.core.spawn(self._activation, kind, id, detached=detached)

    def reschedule(self) -> None:
        """Ask `Actor.lane_of` again for every running and waiting message, and start what may start now."""
        self._activation.reschedule()
