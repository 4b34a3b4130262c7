"""The official MCP client over one of three transports; its errors as ours. Imported on first connecting."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client import Transport
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT, Implementation
from mcp_types import Tool as McpTool
from pydantic import ValidationError

from flue_actors.definition.tools import ToolAnswer
from flue_actors.errors import ToolError, UnavailableError
from flue_actors.mcp.connection import NotDeliveredError
from flue_actors.mcp.content import answer_of
from flue_actors.mcp.offering import Offered
from flue_actors.mcp.stdio import stdio_transport
from flue_actors.mcp.target import Target
from flue_actors.mcp.wire import LARGEST, NOT_DELIVERED, http_client

MOST_PAGES: Final = 200
"""Of tools. A server whose pages do not end is broken."""

Lost = Callable[[], None]


@asynccontextmanager
async def open_remote(target: Target, lost: Lost) -> AsyncGenerator["Remote"]:
    """Connect, and take leave on the way out. To be entered and left by one task.

    Args:
        lost: Called when the connection has ended by itself.

    Raises:
        ConfigError: The address is not public, or the command cannot be started.
        Exception: Whatever the client and its transports raise, in groups or not.
    """
    async with Client(
        _transport(target, lost),
        client_info=Implementation(name=target.client_name, version=target.client_version),
        read_timeout_seconds=target.call_timeout,
        cache=None,
    ) as client:
        yield Remote(target, client)


def _transport(target: Target, lost: Lost) -> Transport:
    match target.kind:
        case "stdio":
            return stdio_transport(target, lost)
        case "sse":
            return _sse(target, lost)
        case "streamable-http":
            return _streamable_http(target)


@asynccontextmanager
async def _streamable_http(target: Target) -> AsyncGenerator[Any]:
    assert target.url is not None
    async with (
        _http(target) as client,
        streamable_http_client(target.url, http_client=client, max_sse_event_size=LARGEST) as streams,
    ):
        yield streams


@asynccontextmanager
async def _sse(target: Target, lost: Lost) -> AsyncGenerator[Any]:
    assert target.url is not None

    async def refused(response: httpx2.Response) -> None:
        if response.request.method == "POST" and response.is_error:
            lost()  # nobody else will tell whoever waits for the answer

    def client(*_: Any, **__: Any) -> httpx2.AsyncClient:
        made = _http(target)
        made.event_hooks = {"response": [refused]}
        return made

    async with sse_client(target.url, httpx_client_factory=client) as (stream, outbound):
        forward, inbound = anyio.create_memory_object_stream[SessionMessage | Exception](0)

        async def watch() -> None:
            async with forward:
                async for each in stream:
                    await forward.send(each)
            lost()

        async with inbound, anyio.create_task_group() as group:
            group.start_soon(watch)
            yield inbound, outbound
            group.cancel_scope.cancel()


def _http(target: Target) -> httpx2.AsyncClient:
    return http_client(target.headers, timeout=target.timeout, allow_private=target.allow_private)


class Remote:
    """A connected server."""

    def __init__(self, target: Target, client: Client) -> None:
        self._target = target
        self._client = client

    async def offered(self) -> list[Offered]:
        """All tools it offers, of all pages.

        Raises:
            UnavailableError: Its pages do not end.
            MCPError: It does not list them.
        """
        if self._client.server_capabilities.tools is None:
            return []
        tools: list[Offered] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await self._client.list_tools(cursor=cursor)
            tools += [_offered(each) for each in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                return tools
        raise UnavailableError(f'The MCP server "{self._target.name}" does not come to the end of its tools.')

    async def call(self, tool: str, arguments: dict[str, Any]) -> ToolAnswer:
        """Call a tool. Cancelling cancels the request on the server too.

        Raises:
            ToolError: The tool failed, or whether it ran is not known.
            NotDeliveredError: The server has not got the request.
        """
        try:
            return answer_of(await self._client.call_tool(tool, arguments))
        except MCPError as error:
            if error.code == NOT_DELIVERED:
                raise NotDeliveredError from error
            raise ToolError(self._said(error)) from error
        except ValidationError as error:
            raise ToolError(f"The {self._server} gave an answer that MCP does not know.") from error
        except RuntimeError as error:  # so the client says that the answer breaks the tool's own schema
            raise ToolError(f'The {self._server} gave an answer that does not fit what "{tool}" declares.') from error

    def _said(self, error: MCPError) -> str:
        if error.code == CONNECTION_CLOSED:
            return f"The connection to the {self._server} was lost; whether the call had an effect is not known."
        if error.code == REQUEST_TIMEOUT:
            seconds = f"{self._target.call_timeout:g} s"
            return f"The {self._server} did not answer within {seconds}; whether the call had an effect is not known."
        return error.message

    @property
    def _server(self) -> str:
        return f'MCP server "{self._target.name}"'


def _offered(tool: McpTool) -> Offered:
    return Offered(
        name=tool.name,
        title=tool.title or (tool.annotations.title if tool.annotations else None),
        description=tool.description,
        schema=tool.input_schema,
        needs_task=tool.execution is not None and tool.execution.task_support == "required",
    )
