"""One message on its way: what it says, who waits for it, until when, and where it is now."""

import asyncio
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import msgspec

from flue_actors.actors.reply import Reply

if TYPE_CHECKING:
    from flue_actors.actors.activation import Activation
    from flue_actors.actors.handling import Handling


class Envelope(msgspec.Struct, eq=False):
    """A message with its reply slot: pykka's envelope, and what ours has to know beside.

    Attributes:
        reply_to: Where the answer goes; None for a tell.
        deadline: Loop time after which it must not start, and at which it is cancelled if it runs.
        message_id: The sender's name for it, for `ActorRef.abort`.
        asker: The message whose handler asked, when one did.
        lane: Set by the actor it waits for; None runs alone.
        where: The activation it waits for, the handling that runs it, or None once it is settled.
        timer: Wakes at the deadline.
    """

    message: Any
    reply_to: Reply[Any] | None = None
    deadline: float | None = None
    message_id: Hashable | None = None
    asker: "Handling | None" = None
    lane: Hashable | None = None
    where: "Activation | Handling | None" = None
    timer: asyncio.TimerHandle | None = None

    @property
    def abandoned(self) -> bool:
        """True when its asker no longer waits."""
        return self.reply_to is not None and self.reply_to.future.done()

    def settle(self, value: Any, error: BaseException | None) -> None:
        """Answer the asker, if there is one, and forget who waits. Once."""
        self.where = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.asker is not None:
            self.asker.answered(self)
            self.asker = None
        reply = self.reply_to
        if reply is None or reply.future.done():
            return
        if error is None:
            reply.future.set_result(value)
        else:
            reply.set_exception(error)
