"""One connection to an MCP server, held open by a task of its own.

The client opens task groups, which have to be left by the task that entered them: not by whoever happens to connect
first, whose turn may be over or cancelled long before the connection is. Calls go out from their callers' own tasks, so
cancelling a caller cancels its request and nothing else.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from typing import Any, Final, Protocol, cast

from flue_actors.definition.tools import Tool, ToolAnswer
from flue_actors.errors import FlueError, UnavailableError
from flue_actors.mcp.offering import Offered
from flue_actors.mcp.target import Target

logger = logging.getLogger("flue_actors.mcp")

CLOSE_GRACE: Final = 10.0
"""Seconds for taking leave of a server: more than a child process gets to end."""


class NotDeliveredError(Exception):
    """The server never got the call: it may be sent again, over another connection."""


class Remote(Protocol):
    """A connected server; a `client.Remote`."""

    async def offered(self) -> Sequence[Offered]:
        """What it offers."""
        ...

    async def call(self, tool: str, arguments: dict[str, Any]) -> ToolAnswer:
        """Call a tool. Raises ToolError, NotDeliveredError."""
        ...


Open = Callable[[Target, Callable[[], None]], AbstractAsyncContextManager[Remote]]


class Connection:
    """Connects at once, on the running loop; `ready` says when.

    Args:
        adapt: Makes tools of what the server offers. Raises ConfigError.
    """

    def __init__(self, target: Target, adapt: Callable[[Sequence[Offered]], tuple[Tool, ...]]) -> None:
        self.loop = asyncio.get_running_loop()
        self._target = target
        self._adapt = adapt
        self._remote: Remote | None = None
        self._leave = asyncio.Event()
        self._ready: asyncio.Future[tuple[Tool, ...]] = self.loop.create_future()
        self._ready.add_done_callback(_seen)
        # An empty context: the connection belongs to nobody's turn.
        self._task = asyncio.create_task(self._hold(), name=f"mcp:{target.name}", context=Context())
        self._task.add_done_callback(self._ended)

    @property
    def over(self) -> bool:
        """It has been lost or closed: no call goes over it any more."""
        return self._leave.is_set() or self._task.done()

    @property
    def connected(self) -> bool:
        """Calls go over it."""
        return self._remote is not None and not self.over

    async def ready(self) -> tuple[Tool, ...]:
        """Wait until it is connected, and return the tools. Cancelling ends the waiting only.

        Raises:
            UnavailableError: The server could not be reached, or said nothing in time.
            ConfigError: Its address is private, its command does not exist, or its tools cannot be named.
        """
        return await asyncio.shield(self._ready)

    async def call(self, tool: str, arguments: dict[str, Any]) -> ToolAnswer:
        """Call a tool of the server.

        Raises:
            NotDeliveredError: The connection is over, and the server has not got the call.
            ToolError: The tool says so; or the connection was lost, or the time was up, before there was an answer.
        """
        if self._remote is None or self.over:
            raise NotDeliveredError
        try:
            return await self._remote.call(tool, arguments)
        except NotDeliveredError:
            self._leave.set()
            raise

    async def close(self) -> None:
        """Take leave of the server; calls that wait for an answer fail."""
        self._leave.set()
        if not self._ready.done():
            self._task.cancel()
        done, _ = await asyncio.wait([self._task], timeout=CLOSE_GRACE)
        if not done:
            self._task.cancel()

    async def _hold(self) -> None:
        open_remote = await asyncio.to_thread(_load)
        async with asyncio.timeout(self._target.timeout) as patience:
            async with open_remote(self._target, self._leave.set) as remote:
                tools = self._adapt(await remote.offered())
                patience.reschedule(None)
                self._remote = remote
                self._ready.set_result(tools)
                await self._leave.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._leave.set()
        error = None if task.cancelled() else task.exception()
        if not self._ready.done():
            failure = _failure(self._target, error)
            if error is not None:
                logger.warning("%s %s", failure.message, failure.dev)
            self._ready.set_exception(failure)
        elif error is not None:
            logger.info('the connection to the MCP server "%s" was lost', self._target.name, exc_info=error)


def _load() -> Open:
    # The client's own imports take 0.5 s: in a thread, and only for programs that connect.
    from flue_actors.mcp.client import open_remote

    return open_remote


def _seen(future: "asyncio.Future[tuple[Tool, ...]]") -> None:
    if not future.cancelled():
        future.exception()  # whoever waited has seen it, and maybe nobody waits any more


def _failure(target: Target, error: BaseException | None) -> FlueError:
    errors = list(_all(error)) if error is not None else []
    for each in errors:
        if isinstance(each, FlueError):
            return each
    causes = [f"{type(each).__name__}: {each}" for each in errors if not isinstance(each, BaseExceptionGroup)]
    notes = [note for each in errors for note in getattr(each, "__notes__", ())]
    failure = UnavailableError(
        f'The MCP server "{target.name}" cannot be reached.',
        details="Try again later; if it stays so, ask the operator to look at the log.",
        dev="\n".join(dict.fromkeys([*causes, *notes])).strip(),
    )
    failure.__cause__ = error
    return failure


def _all(error: BaseException) -> Iterator[BaseException]:
    yield error
    if isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _all(each)
