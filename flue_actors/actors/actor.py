"""`Actor`: what users subclass, with pykka's hooks, each sync or async."""

from collections.abc import Hashable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import pykka
from pykka import messages
from pykka._introspection import get_attr_directly

from flue_actors.actors.address import LeaveReason
from flue_actors.errors import ConfigError

if TYPE_CHECKING:
    from flue_actors.actors.context import ActorContext
    from flue_actors.actors.ref import ActorRef

PROXY_MESSAGES = frozenset({messages.ProxyCall, messages.ProxyGetAttr, messages.ProxySetAttr})


class Actor(pykka.Actor):
    """An actor of an `ActorSystem`: handles its messages one at a time, each in a Task of its own.

    Made by the factory its kind was registered with, on the first message; may leave memory whenever it is idle, and be
    made again on the next one. Hooks may be sync or async. ``__init__`` is free and need not call ours.
    """

    context: "ActorContext"
    """The actor's place in its system. Set after ``__init__``, before `on_start`."""

    def __init__(self) -> None:  # a uuid and a threading.Event: 1.3 KB an actor
        pass

    def on_start(self) -> Any:
        """Load what the actor needs. Messages wait; if this raises they fail with `ActorUnavailableError`."""

    def on_receive(self, message: Any) -> Any:
        """Handle one message; the result is the reply. What it raises, its asker gets, and the actor lives on."""
        super().on_receive(message)

    def on_stop(self, reason: LeaveReason) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # why it leaves is data
        """Clean up before leaving memory. Messages that arrive meanwhile go to the actor's next incarnation."""

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Any:
        """Called after a message failed and its asker knows. Return ``"restart"`` to be replaced by a fresh actor."""

    def lane_of(self, message: Any) -> Hashable | None:
        """Which messages may run side by side: those of different lanes. None (the default) runs alone."""
        return None

    @property
    def actor_urn(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # computed: nothing stored per actor
        """``flue:<kind>/<id>``."""
        return f"flue:{self.context.address}"

    @property
    def actor_ref(self) -> "ActorRef":  # a virtual address
        """The actor's own ref."""
        return self.context.ref

    def stop(self) -> None:
        """Leave memory once the running messages have ended."""
        self.context.ref.stop()

    @classmethod
    def start(cls, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Actors are not started by hand: a message activates them.

        Raises:
            ConfigError: Always; it names what to call.
        """
        raise ConfigError(
            f"{cls.__name__} belongs to an ActorSystem.",
            details="Register a factory with ActorSystem.register() and send to ActorSystem.ref(), or spawn a child.",
        )

    def handle_proxy(self, message: messages.ProxyCall | messages.ProxyGetAttr | messages.ProxySetAttr) -> Any:
        """Handle one of pykka's proxy messages. Called by the system."""
        if isinstance(message, messages.ProxyCall):
            return get_attr_directly(self, message.attr_path)(*message.args, **message.kwargs)
        if isinstance(message, messages.ProxyGetAttr):
            return get_attr_directly(self, message.attr_path)
        setattr(get_attr_directly(self, message.attr_path[:-1]), message.attr_path[-1], message.value)
        return None

    @staticmethod
    def _create_actor_inbox() -> NoReturn:
        raise NotImplementedError("The mailbox belongs to the activation.")

    @staticmethod
    def _create_future() -> NoReturn:
        raise NotImplementedError("Replies belong to a system's loop.")

    def _start_actor_loop(self) -> NoReturn:
        raise NotImplementedError("An idle actor has no loop and no task.")


def overrides(actor: Actor, hook: str) -> bool:
    """True when the actor's class has its own ``hook``."""
    return getattr(type(actor), hook) is not getattr(Actor, hook)
