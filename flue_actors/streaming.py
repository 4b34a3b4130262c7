"""Following a session from an offset on: what is stored, then what is at hand, then what comes. No gap, no duplicate.

Every event has a place in its session (`places`), and a stream delivers them in that order, each strictly behind the one
before. Where the next live event does not stand right behind the last one delivered, something lies between:

* entries, which are read from the store (a person's message is seen by nobody live; or the reader was away);
* deltas that nobody was shown, in the middle of a reply: then the reply so far comes as a `MessageSnapshot`.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from flue_actors.conversation.replay import Outcomes, replay
from flue_actors.errors import InvalidRequestError, ReaderTooSlowError
from flue_actors.events import PublicError
from flue_actors.ids import AgentKey
from flue_actors.observing import Feeds, Shown
from flue_actors.places import Place, place_of
from flue_actors.receipts import error_of, result_of
from flue_actors.storage import Entry, Store

PAGE: Final = 256
"""Entries read at a time: a reader holds no more of a long history than that."""

SOON: Final = 0.01
"""Seconds after which an entry that is being written is looked for again."""

_LAST: Final = 2**62


class SessionStream:
    """One reader of one session.

    Args:
        after: The offset of the last event it has; None: everything from now on.

    Raises:
        InvalidRequestError: ``after`` is no offset.
    """

    def __init__(self, store: Store, feeds: Feeds, key: AgentKey, session: str, after: str | None) -> None:
        self._place = None if after is None else Place.parse(after)
        self._store = store
        self._feeds = feeds
        self._key = key
        self._session = session
        self._feed = feeds.open(key)
        self._follower = self._feed.follow(session)
        self._live: list[Shown] = []  # taken from the feed, not delivered
        self._first: list[Shown] | None = None  # None: not begun
        self._closed = False

    @property
    def offset(self) -> str:
        """Of the last event delivered: where to go on."""
        return "0-0" if self._place is None else str(self._place)

    async def begin(self) -> None:
        """Find the place to go on from. `next` does it, if nobody did.

        Raises:
            InvalidRequestError: The offset is none of this session.
            StoreError: The store refused.
        """
        if self._first is None:
            self._first = await self._begin()

    async def next(self) -> list[Shown]:
        """The next events; may be empty, is empty when `nudge` was called or the session is gone (`ended`).

        Raises:
            InvalidRequestError: As `begin`.
            ReaderTooSlowError: Events were lost, because they were not taken in time.
            StoreError: The store refused.
        """
        await self.begin()
        if self._first:
            found, self._first = self._first, []
            return found
        if found := await self._advance():
            return found
        if not self.ended:
            await self._follower.ready()
            return await self._advance()
        return []

    @property
    def ended(self) -> bool:
        """True when the session was removed."""
        return self._follower.ended

    def nudge(self) -> None:
        """Have `next` return, with nothing if there is nothing."""
        self._follower.wake()

    def close(self) -> None:
        """Stop following. Idempotent."""
        if not self._closed:
            self._closed = True
            self._follower.close()
            self._feeds.tidy(self._key)

    async def _begin(self) -> list[Shown]:
        last = Place(await self._store.last_seq(self._key, self._session), _LAST)
        position = self._feed.positions.get(self._session)
        newest = last if position is None else max(last, position.place)
        if self._place is None:
            self._place = newest if position is None else position.place
            return self._snapshot()
        if self._place.seq > newest.seq:
            raise InvalidRequestError(
                "The offset is behind the end of this conversation.",
                details="Send the offset of an event you received from it; without one, the stream begins now.",
            )
        return await self._stored(newest.seq) if self._place.seq < last.seq and not self._continues() else []

    def _continues(self) -> bool:
        """True when the feed has the event right behind the last one delivered."""
        self._live.extend(self._follower.take())
        return any(_follows(shown.place, self._place) for shown in self._live)

    async def _advance(self) -> list[Shown]:
        if self._follower.lagged:
            raise ReaderTooSlowError(meta={"offset": self.offset})
        self._live.extend(self._follower.take())
        delivered: list[Shown] = []
        while self._live and len(delivered) < PAGE:
            shown = self._live[0]
            if shown.place is not None and shown.place <= self._at():
                del self._live[0]
            elif shown.place is None or _follows(shown.place, self._place):
                del self._live[0]
                delivered.append(self._deliver(shown))
            elif delivered:
                break  # what lies between is looked for next time
            elif self._misses_entries(shown.place):
                return await self._stored(shown.place.seq - (shown.place.n == 0))
            else:
                return self._snapshot() or self._skip()
        return delivered

    def _misses_entries(self, place: Place) -> bool:
        at = self._at().seq
        return place.seq > at + 1 or (place.seq == at + 1 and place.n > 0)

    async def _stored(self, upto: int) -> list[Shown]:
        """The durable events up to entry ``upto``, at most a page; waits for one that is being written."""
        while True:
            after = self._at().seq
            entries = await self._store.entries(self._key, self._session, after=after, limit=PAGE)
            entries = [entry for entry in entries if entry.seq <= upto]
            if entries or self.ended or upto <= after:
                break
            await asyncio.sleep(SOON)
        outcomes = await self._outcomes(entries)
        found = [
            Shown(event, place_of(event.offset))
            for entry in entries
            for event in replay(self._key, self._session, entry, outcomes)
        ]
        if entries:
            self._place = Place(entries[-1].seq, 0)
        if found and found[-1].place is not None:
            self._place = max(self._at(), found[-1].place)
        return found

    async def _outcomes(self, entries: list[Entry]) -> Outcomes:
        outcomes = Outcomes()
        for entry in entries:
            if entry.kind == "settled" and entry.submission_id is not None:
                row = await self._store.submission(entry.submission_id)
                if row is not None and row.result is not None:
                    outcomes.results[row.id] = result_of(row)
                elif row is not None and row.error is not None:
                    outcomes.errors[row.id] = PublicError.of(error_of(row))
        return outcomes

    def _snapshot(self) -> list[Shown]:
        """The reply so far, if one is being streamed; events up to it are in it."""
        streaming = self._feed.streaming.get(self._session)
        if streaming is None:
            return []
        snapshot = streaming()
        shown = Shown(snapshot, place_of(snapshot.offset))
        return [self._deliver(shown)]

    def _skip(self) -> list[Shown]:
        """Nothing that counts lies between."""
        return [self._deliver(self._live.pop(0))]

    def _deliver(self, shown: Shown) -> Shown:
        if shown.place is not None:
            self._place = shown.place
        return shown

    def _at(self) -> Place:
        return self._place if self._place is not None else Place(0, 0)


def _follows(place: Place | None, last: Place | None) -> bool:
    if place is None or last is None:
        return False
    return place == (last.seq, last.n + 1) or place == (last.seq + 1, 0)


async def events_of(stream: SessionStream) -> AsyncGenerator[Shown, None]:
    """What the stream delivers, one by one, until its session is removed. Closes it."""
    try:
        while not stream.ended:
            for shown in await stream.next():
                yield shown
    finally:
        stream.close()
