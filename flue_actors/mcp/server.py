"""An MCP server as users hold it: connected when it is awaited, and again when the connection was lost."""

import asyncio
import importlib.util
from collections.abc import Generator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from flue_actors.definition.tools import Tool, ToolAnswer
from flue_actors.errors import ConfigError, FlueError, ToolError, UnavailableError
from flue_actors.mcp.backoff import Backoff
from flue_actors.mcp.connection import Connection, NotDeliveredError
from flue_actors.mcp.offering import Offered, adapted
from flue_actors.mcp.target import Target, TransportKind


class McpServer:
    """A server whose tools an agent may have. Made by `connect_mcp_server`.

    ``await server`` connects it; everybody who awaits it shares the one connection, and awaiting a connected server costs
    nothing. It belongs to the event loop it was connected on. When the connection is lost, the next call of one of its
    tools connects again; a call that was under way then fails, and is not sent twice.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection: Connection | None = None
        self._tools: tuple[Tool, ...] | None = None
        self._backoff = Backoff()
        self._closed = False

    def __repr__(self) -> str:
        return f"McpServer({self.name!r})"

    @property
    def name(self) -> str:
        """Its name, as in ``mcp__<name>__<tool>``."""
        return self._target.name

    @property
    def connected(self) -> bool:
        """Its tools can be called without connecting first."""
        return self._connection is not None and self._connection.connected

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What it offered when it was connected last; what it says has changed is seen with the next connection.

        Raises:
            ConfigError: It has never been connected.
        """
        if self._tools is None:
            message = f'The tools of the MCP server "{self.name}" are not known before it is connected.'
            raise ConfigError(message, details="Await it first, in an async initializer: tools=(await server).tools.")
        return self._tools

    def __await__(self) -> Generator[Any, None, Self]:
        """Connect, unless it has been connected before, and return the server itself.

        Raises:
            UnavailableError: It cannot be reached, or could not a moment ago (``retry_after``).
            ConfigError: Its address is private, its command does not exist, two of its tools would have one name, or it
                is connected on another event loop.
        """
        return self._awaited().__await__()

    async def __aenter__(self) -> Self:
        """Connect it."""
        return await self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    async def close(self) -> None:
        """End the connection: a child process is ended with its children, an HTTP session is given back.

        Calls under way fail, and so do later ones, until it is awaited again. Closing twice is fine.
        """
        connection, self._connection = self._current(), None
        self._closed = True
        if connection is not None:
            await connection.close()

    async def _awaited(self) -> Self:
        if self._tools is None or self._closed:
            self._closed = False
            await self._connect()
        return self

    async def _call(self, tool: str, arguments: dict[str, Any]) -> ToolAnswer:
        try:
            try:
                return await (await self._connect()).call(tool, arguments)
            except NotDeliveredError:
                return await (await self._connect()).call(tool, arguments)
        except NotDeliveredError as error:
            raise ToolError(f'The MCP server "{self.name}" does not take the call.') from error
        except (UnavailableError, ConfigError) as error:
            raise ToolError(error.message) from error

    async def _connect(self) -> Connection:
        """The one connection, made if there is none. Raises as `__await__`, for the model where a tool calls."""
        if self._closed:
            raise ToolError(f'The connection to the MCP server "{self.name}" has been closed.')
        connection = self._current()
        if connection is None or connection.over:
            connection = self._connection = self._attempt()
        try:
            tools = await connection.ready()
        except FlueError:
            if self._connection is connection:  # the first of those who waited for it
                self._connection = None
                self._backoff.failed(connection.loop.time())
            raise
        if self._connection is connection:
            self._tools = tools
            self._backoff.succeeded()
        return connection

    def _attempt(self) -> Connection:
        left = self._backoff.remaining(asyncio.get_running_loop().time())
        if left:
            raise UnavailableError(f'The MCP server "{self.name}" could not be reached a moment ago.', retry_after=left)
        return Connection(self._target, self._adapted)

    def _adapted(self, offered: Sequence[Offered]) -> tuple[Tool, ...]:
        return adapted(self._target, offered, self._call)

    def _current(self) -> Connection | None:
        connection = self._connection
        if connection is None or connection.loop.is_closed():
            return None
        if connection.loop is not asyncio.get_running_loop():
            raise ConfigError(f'The MCP server "{self.name}" is connected on another event loop.')
        return connection


def connect_mcp_server(
    name: str,
    *,
    url: str | None = None,
    command: str | None = None,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    transport: TransportKind | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30.0,
    call_timeout: float = 60.0,
    allow_private: bool = False,
    client_name: str = "flue-actors",
    client_version: str = "0.0.0",
) -> McpServer:
    """An MCP server, connected once it is awaited.

    ``server = await connect_mcp_server(...)`` where there is a loop; ``server = connect_mcp_server(...)`` at the level of a
    module, with ``tools=(await server).tools`` in an async initializer: however many submissions await it, it is
    connected once.

    Args:
        name: Part of its tools' names: ``mcp__<name>__<tool>``.
        url: Where it listens, over HTTP.
        command: What starts it as a child process, with ``args``. It is not run by a shell.
        env: Variables for the child process. Of this process's own it gets ``PATH``, ``HOME`` and a few like them only.
        transport: Default: ``streamable-http`` for a URL, ``stdio`` for a command. Older servers speak ``sse``.
        headers: Sent with every request, for instance ``{"Authorization": f"Bearer {token}"}``.
        timeout: Seconds for connecting and listing the tools.
        call_timeout: Seconds for one call of a tool.
        allow_private: The URL may lead to this machine, or to a private or link-local address.
        client_name, client_version: How we present ourselves.

    Raises:
        ConfigError: Values that do not go together, or the extra ``mcp`` is not installed.
    """
    if importlib.util.find_spec("mcp") is None:
        raise ConfigError(
            "MCP servers need the package mcp, which is not installed.", details='Run: pip install "flue-actors[mcp]"'
        )
    return McpServer(
        Target(
            name=name,
            transport=transport,
            url=url,
            command=command,
            args=tuple(args),
            env=dict(env or {}),
            headers=dict(headers or {}),
            timeout=timeout,
            call_timeout=call_timeout,
            allow_private=allow_private,
            client_name=client_name,
            client_version=client_version,
        )
    )
