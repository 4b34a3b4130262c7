"""One message on its way: what it says, who waits for it, until when, and where it is now."""

import asyncio
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from pykka._envelope import Envelope as PykkaEnvelope

from flue_actors.actors.reply import Reply

if TYPE_CHECKING:
    from flue_actors.actors.activation import Activation
    from flue_actors.actors.handling import Handling


class Envelope(PykkaEnvelope[Any]):
    """A message with its reply slot.

    Attributes:
        message_id: The sender's name for it, for `ActorRef.abort`.
        deadline: Loop time after which it must not start, and at which it is cancelled if it runs.
        lane: Set by the actor it waits for; None runs alone.
        asker: The message whose handler asked, when one did.
        where: The activation it waits for, the handling that runs it, or None once it is settled.
        timer: Wakes at the deadline.
    """

    __slots__ = ("asker", "deadline", "lane", "message_id", "timer", "where")

    reply_to: Reply[Any] | None

    def __init__(  # one call less per message
        self,
        message: Any,
        reply_to: Reply[Any] | None = None,
        deadline: float | None = None,
        message_id: Hashable | None = None,
        asker: "Handling | None" = None,
    ) -> None:
        self.message = message
        self.reply_to = reply_to  # pyright: ignore[reportIncompatibleVariableOverride]  # narrower: only our replies
        self.deadline = deadline
        self.message_id = message_id
        self.asker = asker
        self.lane: Hashable | None = None
        self.where: Activation | Handling | None = None
        self.timer: asyncio.TimerHandle | None = None

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
