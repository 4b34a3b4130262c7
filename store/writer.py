"""Group commit: whatever was enqueued while the last transaction was written is the next one. No timer.

One thread hop and one transaction a batch (`transactions` has its rules); futures resolve after COMMIT. After an I/O
error the connection is replaced. The future of a commit that erases waits for `erasing` too; others go on meanwhile.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from flue_actors.errors import FencedError, StoreError, StoreFormatError, StoreUnavailableError
from flue_actors.storage import Committed, Erase, Op, StoreStatistics
from flue_actors.store.erasing import overwrite
from flue_actors.store.failures import store_error
from flue_actors.store.hop import Hop
from flue_actors.store.pages import Pages, file_of
from flue_actors.store.schema import checkpoint
from flue_actors.store.transactions import Ops, Outcome, Transactions

logger = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_CAP: Final = 1_000
"""Commits in one transaction. A cap of 256 costs 11 % of the rate at 1,000 tasks, 64 costs 30 %."""


class _Waiting(NamedTuple):
    ops: tuple[Op, ...]
    future: "asyncio.Future[Committed]"


class Writer:
    """Owns the one connection that writes. Made and used on one event loop."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        """``connector`` opens the connection; it is called in the thread, again after each I/O error."""
        self._loop = asyncio.get_running_loop()
        self._connector = connector
        self._hop: Hop | None = None
        self._transactions: Transactions | None = None
        self._waiting: list[_Waiting] = []
        self._writing = 0
        self._drainer: asyncio.Task[None] | None = None
        self._erased: list[tuple[asyncio.Future[Committed], Committed]] = []
        self._eraser: asyncio.Task[None] | None = None
        self._pages: Pages | None = None
        self._failing = False
        self._commits = self._batches = self._refused = self._failed = 0

    async def open(self) -> None:
        """Connect; raises what the connector raises."""
        self._hop = await Hop.start(self._connector)
        self._transactions = await self._hop.run(Transactions, self._hop.rest)

    async def close(self) -> None:
        """Write everything enqueued, then disconnect. Idempotent."""
        while tasks := [task for task in (self._drainer, self._eraser) if task is not None]:
            await asyncio.wait(tasks)
        try:
            if self._hop is not None:
                await self._hop.run(checkpoint)
        finally:
            await self._disconnect()
            if self._pages is not None:
                self._pages.close()
                self._pages = None

    def enqueue(self, ops: tuple[Op, ...]) -> "asyncio.Future[Committed]":
        """Put a commit in line. The future is done when it is durable."""
        future: asyncio.Future[Committed] = self._loop.create_future()
        self._waiting.append(_Waiting(ops, future))
        if self._drainer is None:
            self._start()
        return future

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """The result of ``function`` on the writing connection, between two batches."""
        hop, _ = await self._connected()
        return await hop.run(function)

    def _rest(self) -> None:
        if self._hop is not None:
            self._hop.rest()

    def statistics(self) -> StoreStatistics:
        """Counters since the writer was made."""
        return StoreStatistics(
            commits=self._commits,
            batches=self._batches,
            waiting=len(self._waiting) + self._writing,
            refused=self._refused,
            failed=self._failed,
        )

    async def _connected(self) -> tuple[Hop, Transactions]:
        if self._transactions is not None and self._transactions.broken:
            await self._disconnect()
        if self._hop is None:
            await self.open()
        assert self._hop is not None
        assert self._transactions is not None
        return self._hop, self._transactions

    async def _disconnect(self) -> None:
        if self._hop is not None:
            hop, self._hop, self._transactions = self._hop, None, None
            await hop.close()

    def _start(self) -> None:
        self._drainer = self._loop.create_task(self._drain())
        self._drainer.add_done_callback(self._drained)

    def _drained(self, _: "asyncio.Task[None]") -> None:
        self._drainer = None
        if self._waiting:  # cancelled before its first step
            self._start()

    async def _drain(self) -> None:
        while self._waiting:
            batch = self._waiting[:BATCH_CAP]
            del self._waiting[:BATCH_CAP]
            self._writing = len(batch)
            outcomes = await self._write([waiting.ops for waiting in batch])
            self._writing = 0
            self._batches += 1
            self._log_turns(outcomes[-1])
            for (ops, future), outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Committed) and any(type(op) is Erase for op in ops):
                    self._erased.append((future, outcome))
                else:
                    self._resolve(future, outcome)
            if self._erased and self._eraser is None:
                self._start_eraser()

    def _start_eraser(self) -> None:
        self._eraser = self._loop.create_task(self._erase())
        self._eraser.add_done_callback(self._eraser_done)

    def _eraser_done(self, _: "asyncio.Task[None]") -> None:
        self._eraser = None
        if self._erased:  # cancelled before its first step
            self._start_eraser()

    async def _erase(self) -> None:
        """One search of the file serves all that was erased before it."""
        while self._erased:
            group, self._erased = self._erased, []
            failure: StoreError | None = StoreUnavailableError(dev="cancelled while erasing")
            try:
                if self._pages is None:
                    self._pages = Pages(await self.run(file_of))
                await overwrite(self.run, self._rest, self._pages)
                failure = None
            except (StoreError, sqlite3.Error, OSError) as error:
                logger.exception("what was erased cannot be overwritten")
                failure = store_error(error)
                if self._transactions is not None:
                    self._transactions.broken = True
            finally:
                for future, outcome in group:
                    self._resolve(future, failure or outcome)

    async def _write(self, batch: Sequence[Ops]) -> Sequence[Outcome]:
        try:
            hop, transactions = await self._connected()
        except (StoreError, sqlite3.Error, OSError) as error:
            return [store_error(error) for _ in batch]
        except asyncio.CancelledError:
            return [StoreUnavailableError(dev="cancelled while the connection was replaced") for _ in batch]
        try:
            await hop.run(lambda _: transactions.write(batch))
        except asyncio.CancelledError:  # somebody cancelled every task of the loop; the thread works on all the same
            await hop.run(_nothing)
        return transactions.outcomes

    def _log_turns(self, outcome: Outcome) -> None:
        """A line when writing begins to fail and one when it works again: a full disk must not fill with its log."""
        if isinstance(outcome, StoreUnavailableError | StoreFormatError):
            if not self._failing:
                logger.error("the store cannot be written", exc_info=outcome)
            self._failing = True
        elif self._failing:
            logger.warning("the store can be written again")
            self._failing = False

    def _resolve(self, future: "asyncio.Future[Committed]", outcome: Outcome) -> None:
        if isinstance(outcome, Committed):
            self._commits += 1
        elif isinstance(outcome, FencedError):
            self._refused += 1
        else:
            self._failed += 1
        if future.done():  # cancelled: it was written all the same
            return
        if isinstance(outcome, Committed):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)
            future.exception()  # retrieved: asyncio logs no failure that nobody awaits


def _nothing(_db: sqlite3.Connection) -> None:
    """What comes back when everything before it has been done."""
