"""Numbers and stamps the events of one submission, and hands them to observers and the instance's feed."""

import itertools
from collections.abc import Callable
from copy import copy
from typing import Any, Final, Self, TypeVar

import msgspec

from flue_actors.clock import Clock, iso
from flue_actors.events import Event, Log, MessageSnapshot, Turn, TurnRequest, TurnStart, public
from flue_actors.ids import DEFAULT_HARNESS
from flue_actors.messages import AssistantMessage
from flue_actors.observing import Feed, Observers
from flue_actors.places import Position
from flue_actors.storage import Submission

_ACCOUNTS: Final = (TurnStart, TurnRequest, Turn, Log)

E = TypeVar("E", bound=msgspec.Struct)


class TaskPlace(msgspec.Struct, frozen=True):
    """Whose events they are when a subagent works: its own session, seen in its parent's."""

    task_id: str
    session: str
    parent_session: str


class Emitter:
    """Emits the events of one submission, or of one of its tasks.

    A task's events are seen in the submission's session, where all of them are ephemeral: what of them is stored stands
    in the task's own.

    Attributes:
        full: What is not public is let into the feed too: `AgentConfig.public_events`.
    """

    __slots__ = (
        "_clock",
        "_correlation",
        "_feed",
        "_numbers",
        "_observers",
        "_position",
        "_quiet",
        "_session",
        "_stamp",
        "_submission_id",
        "_task",
        "full",
    )

    def __init__(
        self,
        submission: Submission,
        operation_id: str,
        position: Position,
        *,
        feed: Feed,
        observers: Observers,
        clock: Clock,
    ) -> None:
        self._submission_id = submission.id
        self._session = submission.session
        self._position = position
        self._feed = feed
        self._observers = observers
        self._clock = clock
        self._numbers = itertools.count()
        self._task = False
        self._quiet = False
        self._stamp = (0, "")
        self.full = False
        self._correlation: dict[str, Any] = {
            "session": submission.session,
            "operation_id": operation_id,
            "harness": DEFAULT_HARNESS,
            "instance_id": submission.key.id,
            "submission_id": submission.id,
        }
        if submission.dispatch_id is not None:
            self._correlation["dispatch_id"] = submission.dispatch_id

    def of_task(self, place: TaskPlace) -> Self:
        """The emitter of a task of this one's work: one numbering, one place in the order of events."""
        other = copy(self)
        other._task = True
        other._correlation = {
            **self._correlation,
            "session": place.session,
            "task_id": place.task_id,
            "parent_session": place.parent_session,
        }
        other._correlation.pop("turn_id", None)
        return other

    def of_summary(self) -> Self:
        """The emitter of a model call that nobody waits for the text of: that it is made, and what it cost."""
        other = copy(self)
        other._quiet = True
        other._correlation = {**self._correlation}
        return other

    @property
    def verbose(self) -> bool:
        """True when somebody gets to see what is not public."""
        return self.full or bool(self._observers)

    def turn(self, turn_id: str | None) -> None:
        """Every event from here on belongs to this model round trip (None: to none)."""
        if turn_id is None:
            self._correlation.pop("turn_id", None)
        else:
            self._correlation["turn_id"] = turn_id

    def streaming(self, reply: Callable[[], AssistantMessage] | None) -> None:
        """A reply begins to be streamed: ``reply`` tells what there is of it; None: it ended, one way or another."""
        if self._task or self._quiet:
            return  # who joins in the middle is shown where its own session stands
        if reply is None:
            self._feed.streaming.pop(self._session, None)
        else:
            self._feed.streaming[self._session] = lambda: self._snapshot(reply())

    def _snapshot(self, message: AssistantMessage) -> MessageSnapshot:
        return MessageSnapshot(
            **self._correlation, message=message, offset=str(self._position), timestamp=iso(self._clock.now_ms())
        )

    def emit(self, kind: type[E], /, *, durable: int | None = None, **fields: Any) -> None:
        """Emit one event. ``durable`` is the seq of the entry it was committed with."""
        if self._quiet and kind not in _ACCOUNTS:
            return
        position = self._position
        if self._task:
            durable = None
        if durable is None:
            position.n += 1
        else:
            position.durable(durable)
        index = next(self._numbers)
        if not self._observers and not self._feed.is_watched(self._submission_id, self._session):
            return  # nobody looks: an event costs 4 us, and a plain prompt has 13 of them
        offset = str(position) if durable is None else f"{durable}-0"
        event = kind(**{**self._correlation, **fields}, event_index=index, offset=offset, timestamp=self._now())
        self.publish(event)  # pyright: ignore[reportArgumentType]  # every kind passed in is a member of Event

    def publish(self, event: Event) -> None:
        """Show an event to observers, and its public part to the feed."""
        if self._observers:
            self._observers.emit(event)
        shown = event if self.full else public(event)
        if shown is not None:
            self._feed.append(self._submission_id, shown, self._session)

    def _now(self) -> str:
        # Formatting costs 1.5 us; a burst of deltas shares its millisecond.
        now = self._clock.now_ms()
        if now != self._stamp[0]:
            self._stamp = (now, iso(now))
        return self._stamp[1]
