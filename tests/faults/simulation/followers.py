"""Clients that follow a session's events, are cut off again and again, and go on from the last offset they have.

In the end each of them has to have exactly the durable events that one has who reads the session from the beginning.
"""

import asyncio
import random
from typing import Final

from flue_actors.errors import FlueError, InvalidRequestError, ReaderTooSlowError
from flue_actors.events import Event
from flue_actors.ids import AgentKey
from flue_actors.refs import LocalSessionRef
from tests.faults.simulation.actions import Follow
from tests.faults.simulation.clients import KEYS, SESSIONS, Around, Process

START: Final = "0-0"
QUIET: Final = 5.0
"""Seconds in which a reader has caught up when nothing happens any more."""


class Follower:
    """One reader of one session, over all its connections."""

    def __init__(self, key: AgentKey, session: str) -> None:
        self.key = key
        self.session = session
        self.offset = START
        self.durable: list[str] = []

    def ref(self, life: Process) -> LocalSessionRef:
        """What it reads."""
        return life.runtime.ref(self.key.agent, self.key.id).session(self.session)

    def take(self, event: Event) -> None:
        """One more event."""
        if isinstance(event.offset, str):
            self.offset = event.offset
            if event.offset.endswith("-0"):
                self.durable.append(f"{type(event).__struct_config__.tag} {event.offset}")


class Followers:
    """All of them."""

    def __init__(self, world: Around, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._followers: list[Follower] = []

    def add(self, action: Follow) -> Follower:
        """One more."""
        follower = Follower(KEYS[action.instance], SESSIONS[action.session])
        self._followers.append(follower)
        return follower

    def resume(self, life: Process) -> None:
        """A process runs: everybody connects to it."""
        for follower in self._followers:
            asyncio.ensure_future(self.follow(follower, life))

    async def follow(self, follower: Follower, life: Process) -> None:
        """Read on for as long as this process lives."""
        while self._world.runs(life) and not self._gone(follower):
            try:
                await self._connect(follower, life)
            except InvalidRequestError as error:
                if self._world.runs(life) and not self._gone(follower):
                    self._world.reference.blame(f"{follower.offset} of {follower.key}: {error!r}")
                return
            except ReaderTooSlowError:
                continue
            except FlueError:
                await asyncio.sleep(1.0)

    async def _connect(self, follower: Follower, life: Process) -> None:
        left = self._rng.choice((1, 3, 10, 10_000))
        self._world.note(f"somebody follows {follower.key} {follower.session} behind {follower.offset}")
        async for event in follower.ref(life).events(after=follower.offset):
            if not self._world.runs(life):
                return
            follower.take(event)
            left -= 1
            if not left:
                return

    async def compare(self, life: Process) -> None:
        """Everything is quiet: what does one see who reads it all now?"""
        await asyncio.sleep(QUIET)
        for follower in self._followers:
            if self._gone(follower):
                continue
            fresh = Follower(follower.key, follower.session)
            reading = asyncio.ensure_future(self._read_all(fresh, life))
            await asyncio.wait({reading}, timeout=QUIET)
            reading.cancel()
            seen = len(follower.durable)
            # What the store had kept against its word may be found by nobody until the next event: then it is late.
            late = self._world.reference.misreports > 0 and seen < len(fresh.durable)
            if fresh.durable[: seen if late else None] != follower.durable:
                self._world.reference.blame(
                    f"who followed {follower.key} {follower.session} has {follower.durable};"
                    f" who reads it now has {fresh.durable}"
                )

    async def _read_all(self, follower: Follower, life: Process) -> None:
        async for event in follower.ref(life).events(after=START):
            follower.take(event)

    def _gone(self, follower: Follower) -> bool:
        return (follower.key, follower.session) in self._world.reference.gone
