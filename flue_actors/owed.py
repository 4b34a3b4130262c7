"""An input that is written together with what it comes of: a task's report with the task's outcome."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from flue_actors.storage import Admit, Committed


class Owed:
    """Let in once it is on disk, in the order of the writes; forgotten when it does not get there.

    Attributes:
        admit: What to write.

    Args:
        moved: Called when it is written again, behind what was written since.
        let_in: Hands it over.
        make_sure: Looks into the store, and hands it over if it is there.
    """

    __slots__ = ("_is_decided", "_is_last", "_let_in", "_make_sure", "_moved", "_write", "admit")

    def __init__(
        self,
        admit: Admit,
        moved: Callable[[], None],
        let_in: Callable[[Committed], None],
        make_sure: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self.admit = admit
        self._moved = moved
        self._let_in = let_in
        self._make_sure = make_sure
        self._write: asyncio.Future[Committed] | None = None
        self._is_last = False
        self._is_decided = False

    def written(self, write: "asyncio.Future[Committed]") -> None:
        """This write holds it. If it fails there may be another one."""
        if self._write is not None:
            self._moved()
        self._write = write
        write.add_done_callback(self._recorded)

    def end(self) -> None:
        """There is no further write."""
        self._is_last = True
        assert self._write is not None
        self._write.add_done_callback(self._recorded)

    def _recorded(self, write: "asyncio.Future[Committed]") -> None:
        if self._is_decided or write is not self._write:
            return
        if write.exception() is None:
            self._is_decided = True
            self._let_in(write.result())
        elif self._is_last:
            self._is_decided = True
            asyncio.ensure_future(self._make_sure())
