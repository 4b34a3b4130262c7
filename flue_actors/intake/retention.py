"""How long a store keeps what is done with, and the sweeper that forgets the rest a little at a time.

* Settled inputs are forgotten some time after their outcome: receipts, and with them idempotency keys. What was said
  stays in the history.
* Instances to which nothing has happened for long are erased with everything they have. Never one that has work under
  way: whether it has is asked at the moment at which the erasing shuts its door.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import isfinite
from typing import Final

import msgspec

from flue_actors.errors import ConfigError, FlueError
from flue_actors.ids import AgentKey
from flue_actors.services import Services
from flue_actors.storage import Prune

logger = logging.getLogger("flue_actors.retention")

WEEK: Final = 7 * 86_400.0

SWEEP_EVERY: Final = 60.0
AT_ONCE: Final = 1_000
"""Inputs forgotten in one commit (20 ms), and instances looked at in one read (5 ms). Erasing a thousand in a store of 4.6 GB
takes 8 s, others waiting 0.15 s at most; one alone 1.7 s."""

HURRY: Final = 0.5
"""Seconds between two sweeps while there is more to forget: 2,000 inputs a second."""


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept for how long, in seconds by the wall clock; None = for good.

    Attributes:
        idle: An instance, after its newest message.
        submissions: A settled input with its receipt, result and idempotency key, after its outcome.
        runs: Not available yet.

    Raises:
        ConfigError: A value that cannot be.
    """

    idle: float | None = None
    submissions: float | None = WEEK
    runs: float | None = None

    def __post_init__(self) -> None:
        for name in ("idle", "submissions"):
            seconds: float | None = getattr(self, name)
            if seconds is not None and not (seconds > 0 and isfinite(seconds)):
                raise ConfigError(f"Retention: {name} cannot be {seconds!r}; it is a number of seconds, or None.")
        if self.runs is not None:
            raise ConfigError("Retention: runs is not available yet.")


class Sweeper:
    """Applies a `Retention` to a running runtime, one bounded step at a time.

    Args:
        live: What the instance has under way, if anything.
        erase: Shuts the instance's door before it waits for anything, then removes it.
        every: Seconds between two steps.
    """

    def __init__(
        self,
        retention: Retention,
        services: Services,
        *,
        live: Callable[[AgentKey], object | None],
        erase: Callable[[AgentKey], Awaitable[None]],
        every: float = SWEEP_EVERY,
    ) -> None:
        self._retention = retention
        self._services = services
        self._live = live
        self._erase = erase
        self._every = every
        self._behind: AgentKey | None = None  # goes round the instances
        self._failing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sweep from now on; the first time after a whole interval. Nothing happens where everything is kept."""
        if self._retention.idle is not None or self._retention.submissions is not None:
            self._task = asyncio.ensure_future(self._sweep())

    async def stop(self) -> None:
        """Sweep no more; returns when nothing is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _sweep(self) -> None:
        pause = self._every
        while True:
            await asyncio.sleep(pause)
            pause = self._every
            try:
                if await self._forget_submissions():
                    pause = min(HURRY, pause)
                await self._erase_idle()
                self._failing = False
            except FlueError as error:
                if not self._failing:  # once, until it works again
                    logger.warning("retention waits: %s", error.dev or error)
                self._failing = True

    async def _forget_submissions(self) -> bool:
        """One step; True when there may be more."""
        if self._retention.submissions is None:
            return False
        prune = Prune(settled_before=self._ago(self._retention.submissions), limit=AT_ONCE)
        removed = (await self._services.store.commit(self._services.fence, prune)).removed
        if removed:
            logger.info("%d settled inputs forgotten", removed)
        return removed == AT_ONCE

    async def _erase_idle(self) -> None:
        """One step. What is erased together shares one search of the store's files."""
        if self._retention.idle is None:
            return
        before = self._ago(self._retention.idle)
        found, self._behind = await self._services.store.idle(before=before, after=self._behind, limit=AT_ONCE)
        found = [key for key in found if key.id]  # a blank one holds what an agent's instances share
        ends = await asyncio.gather(*[self._erase_unless_live(key) for key in found], return_exceptions=True)
        if erased := sum([end is True for end in ends]):
            logger.info("%d idle instances erased", erased)
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _erase_unless_live(self, key: AgentKey) -> bool:
        if self._live(key) is not None:
            return False
        await self._erase(key)
        return True

    def _ago(self, seconds: float) -> int:
        return self._services.clock.now_ms() - round(seconds * 1000)
