"""One aiosqlite connection that runs a whole function in its thread: one hop however many statements.

A busy event loop starves such a thread. Around every statement the thread lets go of the interpreter lock and must get it
back, and a loop that lets go of it only for an instant per iteration (in `select`) has it again before the thread is awake:
measured, a turn of 0.3 ms took 12 s beside a loop that was never idle. So while a call is overdue the loop gives way: it
waits, without the lock, until the call is done or rests in an fsync, at most for `GIVEN`. The same turn then takes 8 ms.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Concatenate, Final, ParamSpec, TypeVar, cast

import aiosqlite

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE: Final = 0.001
"""Seconds without a finished call, while one is under way, after which the loop gives way."""
GIVEN: Final = 0.002
"""Seconds it gives at most."""
_WAKING: Final = 0.0001
"""Seconds a thread takes to wake up, twice."""


class Hop(aiosqlite.Connection):
    """A connection and its thread."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._thread.daemon = True  # a program that fails before it closes the store must not hang at its end
        self._resting = threading.Event()
        self._calls = self._finished = 0
        self._watched = False

    @classmethod
    async def start(cls, connector: Callable[[], sqlite3.Connection]) -> "Hop":
        """A started one; ``connector`` opens the connection, in the thread. Raises what it raises."""
        hop = cls(connector)
        try:
            await hop
        except Exception:
            hop._thread.join()  # it is on its last line, which needs this loop to be open still
            raise
        return hop

    async def run(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The result of ``function(connection, *args)``, called in the thread after everything given before it.

        Cancelling does not stop it.
        """
        execute = cast("Callable[[Callable[[], T]], Awaitable[T]]", self._execute)
        self._calls += 1
        if not self._watched:
            self._watch(asyncio.get_running_loop())
        try:
            # A lambda: with debug logging on, aiosqlite writes what it executes to the log, arguments and all.
            return await execute(lambda: self._work(function, *args, **kwargs))
        finally:
            self._finished += 1

    def rest(self) -> None:
        """Called in the thread: what comes next is not Python, the loop need not wait for it."""
        self._resting.set()

    def _work(self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._resting.clear()
        try:
            return function(self._conn, *args, **kwargs)
        finally:
            self._resting.set()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look again in a while: a timer for each call would cost a tenth of it."""
        self._watched = self._finished < self._calls
        if self._watched:
            loop.call_later(PATIENCE, self._look, loop, self._finished)

    def _look(self, loop: asyncio.AbstractEventLoop, finished: int) -> None:
        if finished == self._finished < self._calls:
            self._give_way()
        self._watch(loop)

    def _give_way(self) -> None:
        if self._resting.is_set():
            time.sleep(_WAKING)
        self._resting.wait(GIVEN)
