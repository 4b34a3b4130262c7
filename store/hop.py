"""One aiosqlite connection that runs a whole function in its thread: one hop however many statements."""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar, cast

import aiosqlite

P = ParamSpec("P")
T = TypeVar("T")


class Hop(aiosqlite.Connection):
    """A connection and its thread."""

    @classmethod
    async def start(cls, connector: Callable[[], sqlite3.Connection]) -> "Hop":
        """A started one; ``connector`` opens the connection, in the thread. Raises what it raises."""
        hop = cls(connector, iter_chunk_size=64)
        hop._thread.daemon = True  # a program that fails before it closes the store must not hang at its end
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
        # A lambda: with debug logging on, aiosqlite writes what it executes to the log, arguments and all.
        return await execute(lambda: function(self._conn, *args, **kwargs))
