"""`ActorSystem`: the public face. Any number of systems may live in one process, each on one event loop."""

import asyncio
import random
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from flue_actors.actors.actor import Actor
from flue_actors.actors.address import Address, DropReason, Kind
from flue_actors.actors.blocking import BlockingPool
from flue_actors.actors.core import Core
from flue_actors.actors.dead_letters import DeadLetters
from flue_actors.actors.directory import is_idle
from flue_actors.actors.guardian import Guardian
from flue_actors.actors.limits import ActorLimits
from flue_actors.actors.ref import ActorRef
from flue_actors.actors.statistics import SystemSnapshot
from flue_actors.actors.status import status_of
from flue_actors.clock import Clock, SystemClock
from flue_actors.errors import ConfigError

T = TypeVar("T")

DRAIN_SECONDS: Final = 30.0
"""What running messages get when nobody says otherwise."""


class ActorSystem:
    """Actors by address: made on their first message, gone from memory when idle, one message at a time each.

    ``async with ActorSystem() as system:`` starts it on the running loop and stops it with 30 s to drain.

    Args:
        name: Shown in snapshots.
        limits: Every bound.
        clock: Wall clock, for dead letters only; every timer follows the event loop.
        rng: Randomness of restart pauses.
    """

    def __init__(
        self,
        name: str = "flue",
        *,
        limits: ActorLimits | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.name = name
        self.limits = limits if limits is not None else ActorLimits()
        clock = clock if clock is not None else SystemClock()
        self._core = Core(self, self.limits, clock, rng if rng is not None else random.Random())
        self._blocking = BlockingPool(self.limits)
        self._guardian: Guardian | None = None
        self._stopping = asyncio.Lock()

    @property
    def dead_letters(self) -> DeadLetters:
        """The messages that were never handled."""
        return self._core.dead_letters

    async def start(self) -> None:
        """Begin to take messages, on the running loop. Handlers start from a copy of the present context."""
        self._core.start()
        self._guardian = Guardian(self.name, self._core.loop, lambda: self.stop(timeout=DRAIN_SECONDS))
        self._guardian.enter()

    async def stop(self, *, timeout: float) -> None:
        """Take no new work, drop what waits, let running messages end for ``timeout`` seconds, then cancel them.

        Messages that running ones ask for on the way are still taken. Then every actor leaves through `on_stop`. Takes
        at most ``timeout`` plus twice ``limits.stop_grace``. Idempotent; called again meanwhile with a shorter
        ``timeout``, it cuts the first call's short.
        """
        if self._stopping.locked():
            self._core.hurry(timeout)
        async with self._stopping:
            if self._core.started:
                await self._core.drain(timeout)
                self._blocking.close()
            if self._guardian is not None:
                self._guardian.leave()
                self._guardian = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop(timeout=DRAIN_SECONDS)

    def register(
        self,
        kind: str,
        factory: Callable[[Address], Actor],
        *,
        mailbox_size: int | None = None,
        undelivered: Callable[[Address, Any, DropReason], None] | None = None,
    ) -> None:
        """Say how actors of ``kind`` are built.

        Args:
            kind: The first part of their addresses.
            factory: Builds the actor of an address; must not block.
            mailbox_size: In place of ``limits.mailbox_size``.
            undelivered: Called on the loop, exactly once, for every message that will never be handled. Must not raise.

        Raises:
            ConfigError: The kind is registered already.
        """
        if kind in self._core.kinds:
            raise ConfigError(f'The actor kind "{kind}" is registered already.')
        capacity = self.limits.mailbox_size if mailbox_size is None else mailbox_size
        self._core.kinds[kind] = Kind(kind, factory, capacity=capacity, undelivered=undelivered)

    def ref(self, kind: str, id: str) -> ActorRef:
        """The actor's virtual address; nothing is activated.

        Raises:
            ConfigError: Nothing is registered as ``kind``.
        """
        if kind not in self._core.kinds:
            raise ConfigError(f'No actor kind "{kind}" is registered.')
        return self._core.ref(Address(kind, id))

    def evict(self, kind: str, id: str) -> bool:
        """Have an idle actor leave memory now, as one too many would; False when it is not there, or not idle."""
        activation = self._core.directory.entries.get(Address(kind, id))
        if activation is None or not is_idle(activation):
            return False
        activation.leave("evicted")
        return True

    def snapshot(self) -> SystemSnapshot:
        """The whole system as it is now. Walks every actor in memory."""
        core = self._core
        activations = list(core.directory.entries.values())
        actors = tuple(status_of(activation) for activation in activations)
        return SystemSnapshot(
            name=self.name,
            actors=actors,
            running=sum(len(actor.running) for actor in actors),
            waiting=sum(actor.depth for actor in actors),
            ingress=core.ingress_depth,
            served=core.served + sum(actor.served for actor in actors),
            failed=core.failed + sum(actor.failed for actor in actors),
            activations=core.activations,
            left=core.left,
            orphans=len(core.orphans),
            fenced=core.fenced,
            backing_off=core.backing_off,
            dead_letters=core.dead_letters.counts(),
            blocking=self._blocking.statistics(),
        )

    async def run_blocking(self, fn: Callable[..., T], *args: Any, timeout: float | None = None, **kw: Any) -> T:
        """Call a blocking ``fn`` on a thread of the system's pool, in a copy of the caller's context.

        Args:
            timeout: Seconds for waiting and running together. A thread still busy then is left behind and replaced.

        Raises:
            DeadlineExceededError: ``timeout`` passed; the call may still be running.
            OverloadedError: Too many calls wait, or too many never returned.
        """
        return await self._blocking.run(fn, *args, timeout=timeout, **kw)
