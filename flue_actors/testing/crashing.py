"""`Process`: what one process has of a store, and how it can be cut off from it."""

import asyncio
from typing import Any

from flue_actors.errors import FencedError, StoreError, StoreUnavailableError
from flue_actors.storage import Committed, Fence, Op, Store


class Process:
    """A store as one process sees it. Once that process is dead, nothing it does gets there, and nothing comes back.

    Attributes:
        commits: How many it made.
        died: Set once it is dead.

    Args:
        store: The store.
        dies_after: It dies when it made so many commits: the last one is kept, and it never hears of that.
        fails_at: Which of its commits the disk has no room for.
        kept_at: Which of its commits are kept although it is told that there was no room.
    """

    def __init__(
        self,
        store: Store,
        *,
        dies_after: int | None = None,
        fails_at: frozenset[int] = frozenset(),
        kept_at: frozenset[int] = frozenset(),
    ) -> None:
        self.commits = 0
        self.died = asyncio.Event()
        self._store = store
        self._dies_after = dies_after
        self._fails_at = fails_at
        self._kept_at = kept_at

    def commit(self, fence: Fence, *ops: Op) -> "asyncio.Future[Committed]":
        """See `Store.commit`."""
        if self.died.is_set():
            return _failed(FencedError())
        self.commits += 1
        if self.commits in self._fails_at:
            return _failed(StoreUnavailableError())
        done = self._store.commit(fence, *ops)
        if self.commits == self._dies_after:
            self.died.set()
            return _failed(FencedError())
        return _failed(StoreUnavailableError()) if self.commits in self._kept_at else done

    async def close(self) -> None:
        """See `Store.close`; a dead process closes nothing."""
        if not self.died.is_set():
            await self._store.close()

    def __getattr__(self, name: str) -> Any:
        if self.died.is_set() and name != "statistics":
            raise FencedError
        return getattr(self._store, name)


def _failed(error: StoreError) -> "asyncio.Future[Committed]":
    future: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    future.exception()  # retrieved: asyncio logs no failure that nobody awaits
    return future
