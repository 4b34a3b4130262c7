"""What a conversation in the terminal needs of an agent, wherever that runs."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from flue_actors.definition.attaching import File, Image
from flue_actors.errors import TurnError, UnavailableError, turn_error
from flue_actors.events import Event
from flue_actors.gateway.wire import Decision


class Reconnected(msgspec.Struct, frozen=True):
    """The connection was lost in the middle of an answer and is there again: events may be missing before the next."""


class Question(msgspec.Struct, frozen=True):
    """A tool call that waits for somebody's decision. ``id`` is the approval's."""

    id: str
    tool_name: str
    args: dict[str, Any]


class Chat(Protocol):
    """One conversation."""

    def ask(self, message: str, enclosed: Sequence[Image | File] = ()) -> AsyncIterator[Event | Reconnected]:
        """Send a message and what goes with it; its events until it is answered.

        Raises:
            CallerError, TurnError: This message got no answer; the next one may.
            UnavailableError: The conversation is over.
        """
        ...

    async def questions(self) -> list[Question]:
        """What waits for a decision, oldest first. Not while a message is answered."""
        ...

    async def decide(self, id: str, decision: Decision, reason: str | None = None) -> None:
        """Decide on a call.

        Raises:
            CallerError, TurnError: It was not to be decided, or was otherwise. (While a message is answered, a warning
                among its events says so.)
        """
        ...

    async def abort(self) -> None:
        """Stop the message that is being answered, if there is one: `ask` ends with an `AbortedError`."""
        ...

    async def lost(self) -> UnavailableError:
        """Wait until the conversation is over without our doing, and say why."""
        ...


def failed(type: str, message: str, *more: str | UnsetType) -> TurnError:
    """A message that got no answer, from what was said about it."""
    return turn_error(type, message, lines(*more))


def lines(*texts: str | UnsetType) -> str:
    """Those of the texts that there are, each on a line of its own."""
    return "\n".join([text for text in texts if text is not UNSET])
