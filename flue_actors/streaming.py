"""Following a session from an offset on: what is stored, then what is at hand, then what comes. No gap, no duplicate.

Every event has a place in its session (`places`), and a stream delivers them in that order, each strictly behind the one
before. Where the next live event does not stand right behind the last one delivered, something lies between:

* entries, which are read from the store (a person's message is seen by nobody live; or the reader was away);
* deltas that nobody was shown, in the middle of a reply: then the reply so far comes as a `MessageSnapshot`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from flue_actors.conversation.replay import Outcomes, replay
from flue_actors.errors import InvalidRequestError, ReaderTooSlowError
from flue_actors.events import (
    MessageEnd,
    MessageStart,
    MessageUpdate,
    PublicError,
    TextDelta,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
)
from flue_actors.ids import AgentKey
from flue_actors.observing import Feeds, Shown
from flue_actors.places import Place, place_of
from flue_actors.receipts import error_of, result_of
from flue_actors.storage import Entry, Store

PAGE: Final = 256
"""Entries read at a time: a reader holds no more of a long history than that."""

SOON: Final = 0.01
"""Seconds after which an entry that is being written is looked for again."""

_PIECES: Final = (TextDelta, ThinkingStart, ThinkingDelta, ThinkingEnd, MessageUpdate)


class SessionStream:
    """One reader of one session.

    Args:
        after: The offset of the last event it has; None: everything from now on.

    Raises:
        InvalidRequestError: ``after`` is no offset.
    """

    def __init__(self, store: Store, feeds: Feeds, key: AgentKey, session: str, after: str | None) -> None:
        self._place = Place(0, 0) if after is None else Place.parse(after)
        self._store = store
        self._feeds = feeds
        self._key = key
        self._session = session
        self._feed = feeds.open(key)
        self._follower = self._feed.follow(session)
        # Taken at once: the ring might forget it while the store is read. What stands nowhere was for those who were there.
        self._live = deque([shown for shown in self._follower.take() if shown.place is not None])
        self._joins = after is None
        self._begun = False
        self._upto = 0  # entries up to this one are read from the store
        self._again = False  # the entry of the last event may have another
        self._torn = False  # the beginning of the reply that is under way is missing
        self._behind = False  # the store may have entries that no event tells of
        self._closed = False

    @property
    def offset(self) -> str:
        """Of the last event delivered: where to go on."""
        return str(self._place)

    async def begin(self) -> None:
        """Find the place to go on from. `next` does it, if nobody did.

        Raises:
            InvalidRequestError: The offset is none of this session.
            StoreError: The store refused.
        """
        if self._begun:
            return
        last = await self._store.last_seq(self._key, self._session)
        self._begun = True
        position = self._feed.positions.get(self._session)
        if self._joins:
            self._place = Place(last, min(last, 1)) if position is None else position.place  # behind its last word
        elif self._place.seq > (last if position is None else max(last, position.seq)):
            raise InvalidRequestError(
                "The offset is behind the end of this conversation.",
                details="Send the offset of an event you received from it; without one, the stream begins now.",
            )
        else:
            at_hand = any(_follows(shown.place, self._place) for shown in self._live)
            self._upto, self._again = (self._place.seq if at_hand else last), True

    async def next(self) -> list[Shown]:
        """The next events; may be empty, is empty when `nudge` was called or the session is gone (`ended`).

        Raises:
            InvalidRequestError: As `begin`.
            ReaderTooSlowError: Events were lost, because they were not taken in time.
            StoreError: The store refused.
        """
        await self.begin()
        found = await self._found()
        if found or self.ended or self._place.seq < self._upto:  # an entry is being written: look again, do not wait
            return found
        await self._follower.ready()
        return await self._found()

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

    async def _found(self) -> list[Shown]:
        """What there is now, at most a page."""
        if self._follower.lagged:
            raise ReaderTooSlowError(meta={"offset": self.offset})
        while not self.ended:
            if self._behind:
                self._behind = False
                self._upto = max(self._upto, await self._store.last_seq(self._key, self._session))
            if self._again or self._place.seq < self._upto:
                found = await self._stored()
                if not found and self._place.seq < self._upto:
                    return []
            else:
                self._live.extend(self._follower.take())
                found = self._advance() or self._snapshot()
            if found or (self._place.seq >= self._upto and not self._live):
                return found
        return []

    def _advance(self) -> list[Shown]:
        """Live events, up to where entries are missing."""
        delivered: list[Shown] = []
        while self._live and len(delivered) < PAGE:
            shown = self._live[0]
            place, last = shown.place, self._place
            if place is not None and place.seq - (place.n == 0) > last.seq:
                self._upto, self._again = place.seq - (place.n == 0), last.n == 0
                break
            self._live.popleft()
            if place is None:  # said past the session's actor: its entries may have been written without a word
                delivered.append(shown)
                self._behind = True
            elif place > last:
                if not _follows(place, last):
                    delivered += self._snapshot()
                    self._torn = place > self._place
                delivered += self._in_order(shown, place)
        return delivered

    def _in_order(self, shown: Shown, place: Place) -> list[Shown]:
        """The event, unless it is in a snapshot already or a piece of a reply whose beginning is missing."""
        if place <= self._place:
            return []
        self._place = place
        event = shown.event
        if place.n == 0 or isinstance(event, MessageStart | MessageEnd):
            self._torn = False
        return [] if self._torn and isinstance(event, _PIECES) else [shown]

    def _snapshot(self) -> list[Shown]:
        """The reply so far, if one is being streamed and its beginning was not delivered; events up to it are in it."""
        joins, self._joins = self._joins, False
        position = self._feed.positions.get(self._session)
        streaming = self._feed.streaming.get(self._session)
        if streaming is None or position is None or position.seq != self._place.seq:
            return []
        if not joins and position.place <= self._place:
            return []
        self._place, self._torn = position.place, False
        return [Shown(streaming(), self._session, self._place)]

    async def _stored(self) -> list[Shown]:
        """The durable events of the next page of entries; waits for one that is being written."""
        last, after = self._place, max(0, self._place.seq - self._again)
        entries = await self._store.entries(self._key, self._session, after=after, limit=PAGE)
        entries = [entry for entry in entries if entry.seq <= self._upto]
        self._again = False
        if not entries and last.seq < self._upto:
            await asyncio.sleep(SOON)
        outcomes = await self._outcomes(entries)
        found = [
            Shown(event, self._session, place)
            for entry in entries
            for event in replay(self._key, self._session, entry, outcomes)
            if (place := place_of(event.offset)) is not None and place > last
        ]
        seen = [Place(entry.seq, 0) for entry in entries[-1:]] + [shown.place for shown in found[-1:] if shown.place]
        self._place = max(last, *seen) if seen else last
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


def _follows(place: Place | None, last: Place) -> bool:
    """True for what comes right behind: the next event, or the next entry's, which is worth all deltas before it."""
    return place == (last.seq, last.n + 1) or place == (last.seq + 1, 0)


async def events_of(stream: SessionStream) -> AsyncGenerator[Shown, None]:
    """What the stream delivers, one by one, until its session is removed. Closes it."""
    try:
        while not stream.ended:
            for shown in await stream.next():
                yield shown
    finally:
        stream.close()
