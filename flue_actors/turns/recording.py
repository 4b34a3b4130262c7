"""The writes of one attempt, in their order, and patience with a store that cannot be written for a while.

What a turn has come to stays in memory: while the store refuses for want of space the turn waits, and then writes what it
has, so nothing is asked of a model or a tool twice.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from flue_actors.errors import FencedError, StoreError, StoreUnavailableError
from flue_actors.owed import Owed
from flue_actors.services import Services
from flue_actors.storage import Append, Committed, Op

logger = logging.getLogger("flue_actors.recording")

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds before an unavailable store is asked again; each pause is twice the one before."""


def pauses() -> Iterator[float]:
    """One after the other, without end."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


class Recording:
    """Writes through the store, in order. Tools that run side by side share one.

    Args:
        paused: Called with the store's error each time it cannot be written.
    """

    __slots__ = ("_open", "_paused", "_round", "_services")

    def __init__(self, services: Services, paused: Callable[[StoreUnavailableError], None]) -> None:
        self._services = services
        self._paused = paused
        self._open: list[_Write] = []  # what is not known to be durable, in order
        self._round = 0  # how often writes were repeated

    def write(self, *ops: Op) -> None:
        """Enqueue a write; the next `commit` answers for it too."""
        self._write(ops, None)

    async def commit(self, *ops: Op) -> None:
        """Make a write, and all before it, durable. Waits while the store is unavailable.

        Raises:
            StoreError: Refused. Of several failures the first one, which is why the others were refused.
        """
        await self._durable(self._write(ops, None))

    async def commit_then(self, stored: Callable[[], None], *ops: Op) -> None:
        """`commit`, and call ``stored`` once this write is durable: before a cancellation that comes meanwhile gets any
        further, or the failure of another write. For what is to be seen even if nothing comes behind it.

        Raises:
            StoreError: As `commit`.
        """
        write = self._write(ops, None)
        try:
            await self._durable(write)
        except (asyncio.CancelledError, StoreError):
            await _done(write.future)
            if write.error() is None:
                stored()
            raise
        stored()

    async def conclude(self, *ops: Op, owed: Owed | None = None) -> None:
        """`commit` for the write that ends the attempt: a cancellation while it is written comes too late, and so does
        what was refused before it, such as a piece of a reply that is whole by now.

        Args:
            owed: What is accepted with it.
        """
        write = self._write(ops if owed is None else (*ops, owed.admit), owed)
        try:
            await _done(write.future)
            if write.error() is not None:
                await self._durable(write)
        finally:
            if owed is not None:
                owed.end()

    async def try_once(self, *ops: Op) -> bool:
        """`conclude` without patience: False when the store does not take it now."""
        self.write(*ops)
        await _done(self._open[-1].future)
        return all(write.error() is None for write in self._open)

    async def _durable(self, write: "_Write") -> None:
        waits = pauses()
        while True:
            future = self._under_way(write)
            if future is not None:
                with suppress(StoreError):
                    await asyncio.shield(future)
                continue  # it, or one before it, may have been written again for another one's sake
            failed = self._first_failure(write)
            if failed is None:
                return
            error = failed.error()
            if isinstance(error, FencedError) and failed.round < self._round:
                self._write_again()  # refused for want of one before it, which was repeated since
                continue
            if isinstance(error, FencedError) and failed.uncertain and await self._was_kept(failed):
                self._open = [each for each in self._open if each is not failed]
                continue
            if not isinstance(error, StoreUnavailableError):
                raise error or FencedError
            if self._services.stopping() and _is_cancelled():
                raise error  # the stop has waited long enough: the next start goes on with it
            pause = next(waits)
            logger.warning("the store cannot be written; tried again in %g s", pause)
            self._paused(error)
            await asyncio.sleep(pause)
            self._write_again()

    def _first_failure(self, last: "_Write") -> "_Write | None":
        """Of the writes up to ``last``, all of which are done; forgets those that are durable."""
        writes = self._up_to(last)
        failed = [write for write in writes if write.error() is not None]
        self._open[: len(writes)] = failed
        return failed[0] if failed else None

    def _under_way(self, last: "_Write") -> "asyncio.Future[Committed] | None":
        """The newest write up to ``last`` that is not done."""
        return next((write.future for write in reversed(self._up_to(last)) if not write.future.done()), None)

    def _up_to(self, last: "_Write") -> "list[_Write]":
        return self._open[: self._open.index(last) + 1] if last in self._open else []

    def _write_again(self) -> None:
        self._round += 1
        for write in self._open:
            if (error := write.error()) is not None:
                write.uncertain = write.uncertain or isinstance(error, StoreUnavailableError)
                write.future = self._enqueue(write.ops, write.owed)
                write.round = self._round

    async def _was_kept(self, write: "_Write") -> bool:
        """True when the store had kept what it said it could not: its entries are there."""
        last = [op for op in write.ops if isinstance(op, Append) and op.entries][-1:]
        for append in last:
            entry = append.entries[-1]
            stored = await self._services.store.entries(append.key, append.session, after=entry.seq - 1, limit=1)
            return stored == [entry]
        return False

    def _write(self, ops: tuple[Op, ...], owed: Owed | None) -> "_Write":
        write = _Write(ops, owed, self._enqueue(ops, owed), self._round)
        self._open.append(write)
        return write

    def _enqueue(self, ops: tuple[Op, ...], owed: Owed | None) -> "asyncio.Future[Committed]":
        write = self._services.store.commit(self._services.fence, *ops)
        if owed is not None:
            owed.written(write)
        return write


class _Write:
    __slots__ = ("future", "ops", "owed", "round", "uncertain")

    def __init__(self, ops: tuple[Op, ...], owed: Owed | None, future: "asyncio.Future[Committed]", round: int) -> None:
        self.ops = ops
        self.owed = owed
        self.future = future
        self.round = round
        self.uncertain = False  # it failed once, and may have been kept all the same

    def error(self) -> BaseException | None:
        """What it failed with; None as long as it has not."""
        return self.future.exception() if self.future.done() else None


def _is_cancelled() -> bool:
    """True when somebody wanted the running task to end, whether or not it took notice."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _done(write: "asyncio.Future[Committed]") -> None:
    """Wait for it, whatever comes of it and whoever wants us to stop."""
    while not write.done():
        with suppress(asyncio.CancelledError, StoreError):
            await asyncio.shield(write)
