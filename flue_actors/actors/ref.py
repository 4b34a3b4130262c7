"""`ActorRef`: the virtual address of an actor. It activates nothing by itself and survives passivation."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Literal

import pykka

from flue_actors.actors.address import Address
from flue_actors.actors.envelope import Envelope
from flue_actors.actors.handling import current
from flue_actors.actors.reply import Reply
from flue_actors.actors.statistics import ActorStatus
from flue_actors.errors import AbortedError, ActorStoppedError, FlueError

if TYPE_CHECKING:
    from flue_actors.actors.actor import Actor
    from flue_actors.actors.core import Core

IfBusy = Literal["queue", "reject"]


class ActorRef(pykka.ActorRef[Any]):
    """Sends messages to one actor of a system. Cheap; equal refs have equal addresses."""

    def __init__(self, core: "Core", address: Address) -> None:  # pykka's wants a live actor
        self._core = core
        self.address = address

    def __repr__(self) -> str:
        return f"<ActorRef {self.address}>"

    def __str__(self) -> str:
        return str(self.address)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorRef) and other.address == self.address and other._core is self._core

    def __hash__(self) -> int:
        return hash(self.address)

    @property
    def actor_urn(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # computed
        """``flue:<kind>/<id>``."""
        return f"flue:{self.address}"

    def is_alive(self) -> bool:
        """True when a message would be taken: the system runs, and the actor is not a child that left for good."""
        return self._core.reachable(self.address)

    def tell(
        self,
        message: Any,
        *,
        message_id: Hashable | None = None,
        deadline: float | None = None,
        if_busy: IfBusy = "queue",
    ) -> None:
        """Send without waiting for an answer; from any thread.

        Inside a handler it never raises: a message that cannot be taken becomes a dead letter, and the handler is not
        punished for another actor's backlog.

        Args:
            message_id: A name for `abort`.
            deadline: Loop time after which it must not start, and at which it is cancelled if it runs.
            if_busy: ``"reject"`` refuses the message when it could not start at once.

        Raises:
            MailboxFullError: The actor (or the way in from foreign threads) holds as many messages as it may.
            SessionBusyError: Sent with ``if_busy="reject"`` while work runs or waits.
            ActorUnavailableError: The actor backs off after failures, or the system is stopping.
            ActorStoppedError: The system, or this child, has stopped.
            DeadlineExceededError: The deadline has passed already.
        """
        envelope = Envelope(message, None, deadline, message_id)
        error = self._core.post(self.address, envelope, if_busy == "reject")
        if error is not None and current() is None:
            raise error

    def ask(  # never blocks unless told to, and takes more
        self,
        message: Any,
        *,
        timeout: float | None = None,
        deadline: float | None = None,
        message_id: Hashable | None = None,
        if_busy: IfBusy = "queue",
        block: bool = False,
    ) -> Reply[Any]:
        """Send and get a `Reply` to await; from any thread. A refusal is the reply: see `tell` for the errors.

        Inside a handler the message inherits the deadline of the message being handled, and an ask that could only
        wait for itself is refused with `CallCycleError`.

        Args:
            timeout: Seconds from now; another way to give the ``deadline``. With ``block``, how long to block.
            block: As in pykka: return the value itself, blocking this thread. Never on the loop's thread.
        """
        core = self._core
        reply: Reply[Any] = Reply(core.loop)
        envelope = Envelope(message, reply, deadline, message_id)
        if timeout is not None and not block:
            core.limit(envelope, core.loop.time() + timeout)
        asker = current()
        if asker is not None:
            envelope.asker = asker
            core.limit(envelope, asker.deadline)
        core.post(self.address, envelope, if_busy == "reject")
        return reply.get(timeout=timeout) if block else reply

    def abort(self, message_id: Hashable | None = None, *, reason: str = "aborted") -> int:
        """Cancel the running message with this id, or drop it if it waits; None means all of them. At once.

        Their askers get `AbortedError`. A handler that catches the cancellation and returns has completed: its asker
        gets the value. Returns how many messages were hit; 0 when there was nothing to abort.
        """

        def aborted() -> FlueError:
            return AbortedError(dev=reason, meta={"reason": reason})

        core = self._core
        return core.on_loop(lambda: core.abort(self.address, message_id, aborted))

    def stop(self, *, block: bool = False, timeout: float | None = None) -> Reply[bool]:  # pyright: ignore[reportIncompatibleMethodOverride]  # block=False by default
        """Have the actor leave memory, past its mailbox: what runs ends, what waits is dropped (`ActorStoppedError`).

        The reply is True once it left, False when it was not in memory. The next message makes the actor anew, unless
        it is a child made by a factory.
        """
        core = self._core
        reply: Reply[bool] = Reply(core.loop)
        core.on_loop(lambda: core.stop_actor(self.address, reply))
        return reply.get(timeout=timeout) if block else reply  # pyright: ignore[reportReturnType]  # pykka: block returns the value

    def status(self) -> ActorStatus:
        """What the actor is doing; read without a message."""
        return self._core.status(self.address)

    def proxy(self) -> pykka.ActorProxy[Any]:
        """pykka's proxy: its methods send messages and return replies; an async method's reply is its result.

        Activates the actor, whose attributes the proxy must see.

        Raises:
            ActorStoppedError: The actor cannot be activated.
        """
        return pykka.ActorProxy(actor_ref=self)

    def _actor_weakref(self) -> "Actor":  # what pykka's proxy looks at
        actor = self._core.wake(self.address).actor
        if actor is None:
            raise ActorStoppedError("The actor could not start.")
        return actor
