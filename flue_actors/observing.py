"""How events reach whoever watches: a bounded ring per instance, and readers that hold cursors into it.

Deltas never go through mailboxes (a mailbox hop per delta measured 6x slower than a ring). The turn appends an event and
goes on; it never waits for a reader. A reader that falls more than a ring behind is told so (`Subscription.lagged`) and
has to be cut off by whoever serves it: the ring forgets, the turn does not slow down.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import islice
from typing import Final, Protocol, Self

import msgspec

from flue_actors.events import TERMINAL, Event, MessageSnapshot
from flue_actors.ids import AgentKey
from flue_actors.places import Place, Position, place_of

logger = logging.getLogger("flue_actors.observing")

RING_EVENTS: Final = 4096
"""Events kept per instance while work runs: at 30 deltas/s more than two minutes of a stalled reader."""

Observer = Callable[[Event], None]


class Shown(msgspec.Struct, eq=False):
    """An event, whose readers see it, where it stands there, and its JSON once somebody made it: many readers share it.

    Attributes:
        session: The conversation that somebody follows; what happens in its tasks is a part of it.
    """

    event: Event
    session: str
    place: Place | None
    encoded: bytes | None = None


class Feed:
    """The events of one instance's live work: a ring, and who reads it.

    It lives while the instance has work under way or somebody reads; an idle instance has none.

    Args:
        behind: No session had more ephemeral events behind an entry when an earlier feed was dropped.

    Attributes:
        positions: Where the event order of each session in use stands.
        streaming: For each session whose model is answering: the reply so far.
        working: True while the instance has work under way.
    """

    __slots__ = (
        "_base",
        "_behind",
        "_capacity",
        "_events",
        "_followers",
        "_readers",
        "_watched",
        "positions",
        "streaming",
        "working",
    )

    def __init__(self, capacity: int = RING_EVENTS, *, behind: int = 0) -> None:
        self._capacity = capacity
        self._behind = behind
        self._events: deque[Shown] = deque(maxlen=capacity)
        self._base = 0  # place of the ring's first event since the feed began
        self._readers: dict[str, list[Subscription]] = {}
        self._followers: dict[str, list[Follower]] = {}
        self._watched: set[str] = set()
        self.positions: dict[str, Position] = {}
        self.streaming: dict[str, Callable[[], MessageSnapshot]] = {}
        self.working = False

    @property
    def is_followed(self) -> bool:
        """True while somebody follows one of its sessions."""
        return bool(self._followers)

    def place(self, session: str, stored: Position) -> Position:
        """Where a session that was read anew goes on: no offset is used twice.

        Args:
            stored: Where it stands by what is stored of it.
        """
        position = self.positions.get(session)
        if position is None:
            position = self.positions[session] = stored
            position.n = max(position.n, self._behind)
        return position

    def follow(self, session: str) -> "Follower":
        """A cursor over the events of one session, from the oldest one at hand on."""
        follower = Follower(self, session, self._base)
        self._followers.setdefault(session, []).append(follower)
        return follower

    def unfollow(self, follower: "Follower") -> None:
        """Stop following. Idempotent."""
        followers = self._followers.get(follower.session, [])
        if follower in followers:
            followers.remove(follower)
            if not followers:
                del self._followers[follower.session]

    def end(self, session: str | None) -> None:
        """The session (None: every one) was removed: nobody follows it any more."""
        for each in list(self._followers) if session is None else [session]:
            self.positions.pop(each, None)
            for follower in list(self._followers.get(each, ())):
                follower.end()

    def subscribe(self, submission_id: str) -> "Subscription":
        """A cursor over the events of one submission, from now on."""
        self._watched.add(submission_id)
        reader = Subscription(self, submission_id, self._base + len(self._events))
        self._readers.setdefault(submission_id, []).append(reader)
        return reader

    def is_watched(self, submission_id: str, session: str) -> bool:
        """True once somebody has read this submission's events, even if they left: they may come back for the rest."""
        if self._followers and session in self._followers:
            self._watched.add(submission_id)
            return True
        return submission_id in self._watched or submission_id in self._readers

    def forget(self, submission_id: str) -> None:
        """It is settled: who reads it now may read to its end, nobody comes back."""
        self._watched.discard(submission_id)

    def append(self, submission_id: str, event: Event, session: str | None = None) -> None:
        """Add an event; wakes the submission's readers, waits for none. ``session``: if it is not the event's own."""
        if len(self._events) == self._capacity:
            self._base += 1
            # Only who reads the forgotten event's submission lost something: the ring is shared by all that wait.
            forgotten = self._events[0]
            for reader in self._readers.get(str(forgotten.event.submission_id), ()):
                reader.forgotten(self._base)
            for follower in self._followers.get(forgotten.session, ()):
                follower.forgotten(self._base)
        session = str(event.session) if session is None else session
        self._events.append(Shown(event, session, place_of(event.offset)))
        readers = self._readers.get(submission_id)
        if readers is not None:
            for reader in readers:
                reader.wake()
        if self._followers:
            for follower in self._followers.get(session, ()):
                follower.wake()

    def since(self, cursor: int, submission_id: str) -> tuple[list[Event], int]:
        """Events behind ``cursor`` of that submission, and the new cursor."""
        end = self._base + len(self._events)
        start = max(cursor, self._base)
        new = islice(self._events, start - self._base, None)
        found = [shown.event for shown in new if shown.event.submission_id == submission_id]
        return found, end

    def of_session(self, cursor: int, session: str) -> tuple[list[Shown], int]:
        """The same for a session."""
        end = self._base + len(self._events)
        start = max(cursor, self._base)
        new = islice(self._events, start - self._base, None)
        return [shown for shown in new if shown.session == session], end

    def release(self, reader: "Subscription") -> None:
        """Stop reading. Idempotent."""
        readers = self._readers.get(reader.submission_id)
        if readers is None or reader not in readers:
            return
        readers.remove(reader)
        if not readers:
            del self._readers[reader.submission_id]


class Feeds:
    """The feed of every instance that has work under way or is followed: memory follows live work.

    Of the order of events in a feed that was dropped, what is stored says nothing of the ephemeral ones behind the last
    entry. One number for all of them is kept instead, the highest, and who comes back goes on behind it.
    """

    __slots__ = ("_behind", "_feeds")

    def __init__(self) -> None:
        self._feeds: dict[AgentKey, Feed] = {}
        self._behind = 0

    def __len__(self) -> int:
        return len(self._feeds)

    def open(self, key: AgentKey) -> Feed:
        """The instance's feed, made if need be; give it back with `tidy`."""
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = Feed(behind=self._behind)
        return feed

    def get(self, key: AgentKey) -> Feed | None:
        """The instance's feed, if it has one."""
        return self._feeds.get(key)

    def close(self) -> None:
        """The runtime stops: nobody follows anything any more."""
        for feed in self._feeds.values():
            feed.end(None)

    def tidy(self, key: AgentKey) -> None:
        """Drop the feed if nothing is under way and nobody follows."""
        feed = self._feeds.get(key)
        if feed is not None and not feed.working and not feed.is_followed:
            del self._feeds[key]
            self._behind = max([self._behind, *[each.n for each in feed.positions.values()]])


class Follower:
    """A cursor over one session's events, across its submissions. For `streaming`, which knows what stands before.

    Attributes:
        lagged: Events were forgotten before they were taken.
        ended: The session was removed.
    """

    __slots__ = ("_cursor", "_feed", "_waiter", "_woken", "ended", "lagged", "session")

    def __init__(self, feed: Feed, session: str, cursor: int) -> None:
        self._feed = feed
        self._cursor = cursor
        self._woken = False
        self._waiter: asyncio.Future[None] | None = None
        self.session = session
        self.lagged = False
        self.ended = False

    def take(self) -> list[Shown]:
        """Everything new since the last call."""
        found, self._cursor = self._feed.of_session(self._cursor, self.session)
        return found

    async def ready(self) -> None:
        """Wait until there may be something to take, or somebody calls `wake`."""
        if not self._woken:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._woken = False

    def wake(self) -> None:
        """Have whoever waits, or waits next, look again."""
        self._woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def forgotten(self, base: int) -> None:
        """The ring begins at ``base`` now, and dropped an event of this session. For `Feed` only."""
        if self._cursor < base:
            self.lagged = True
            self.wake()

    def end(self) -> None:
        """The session is gone. For `Feed` only."""
        self.ended = True
        self.wake()

    def close(self) -> None:
        """Stop following. Idempotent."""
        self._feed.unfollow(self)


class Subscription:
    """A cursor over one submission's events. Use as a context manager, or call `close`.

    `take` never waits; `on_ready` calls back once per batch (coalesced through the loop), so one wake-up serves all
    events that arrived meanwhile. `batches` is the same as an async iterator.
    """

    __slots__ = ("_armed", "_callback", "_cursor", "_feed", "_waiter", "finished", "lagged", "submission_id")

    def __init__(self, feed: Feed, submission_id: str, cursor: int) -> None:
        self._feed = feed
        self.submission_id = submission_id
        self._cursor = cursor
        self._callback: Callable[[], None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._armed = False
        self.finished = False  # the submission's last event was taken
        self.lagged = False  # events were forgotten before they were taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self) -> list[Event]:
        """Everything new since the last call; empty when there is nothing."""
        found, self._cursor = self._feed.since(self._cursor, self.submission_id)
        for place, event in enumerate(found):
            if isinstance(event, TERMINAL):
                self.finished = True
                return found[: place + 1]  # what a fenced attempt still says is nobody's business
        return found

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` (soon, on the loop) whenever there is something to take."""
        self._callback = callback
        self.wake()

    def wake(self) -> None:
        """Tell the reader there may be something. For `Feed` only."""
        if self._armed or (self._callback is None and self._waiter is None):
            return
        self._armed = True
        asyncio.get_running_loop().call_soon(self._ready)

    def forgotten(self, base: int) -> None:
        """The ring begins at ``base`` now, and dropped an event of this submission. For `Feed` only."""
        if self._cursor < base:
            self.lagged = True
            self.wake()

    def _ready(self) -> None:
        self._armed = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._callback is not None:
            self._callback()

    async def batches(self) -> AsyncIterator[list[Event]]:
        """Lists of events as they come, until the submission's last one or a lag."""
        while not self.finished and not self.lagged:
            if events := self.take():
                yield events
                continue
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def close(self) -> None:
        """Stop reading. Idempotent."""
        self._callback = None
        self._feed.release(self)


def watched(subscription: Subscription | None) -> Subscription:
    """The subscription of who submitted something, if it asked for one.

    Raises:
        ValueError: It did not.
    """
    if subscription is None:
        raise ValueError("this submission is not watched: submit it with watch=True")
    return subscription


class Unsubscribe(Protocol):
    """Call it to stop observing."""

    def __call__(self) -> None: ...


class Observers:
    """Everybody who called `Runtime.observe`. A raising observer is logged and never stops a turn."""

    __slots__ = ("_observers",)

    def __init__(self) -> None:
        self._observers: dict[object, Observer] = {}

    def __bool__(self) -> bool:
        return bool(self._observers)

    def add(self, observer: Observer) -> Unsubscribe:
        """Call ``observer`` with every event of the runtime, synchronously, in order."""
        added = object()  # the same function may observe twice
        self._observers = {**self._observers, added: observer}

        def unsubscribe() -> None:
            self._observers = {key: each for key, each in self._observers.items() if key is not added}

        return unsubscribe

    def emit(self, event: Event) -> None:
        """Show the event to everybody."""
        for observer in self._observers.values():  # never changed in place: an observer may unsubscribe meanwhile
            try:
                observer(event)
            except Exception:
                logger.exception("an observer raised on %s", type(event).__name__)
