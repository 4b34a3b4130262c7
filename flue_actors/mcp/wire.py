"""HTTP to one MCP server: to addresses that were checked, and with failures that say whether a message was delivered."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

import httpx2
import msgspec
from mcp_types import CONNECTION_CLOSED

from flue_actors.errors import ConfigError
from flue_actors.mcp.addresses import is_public

NOT_DELIVERED: Final = -1701
"""JSON-RPC error code, made up here and never sent: the server has not got the request."""

LARGEST: Final = 32 * 1024 * 1024
"""Bytes of one answer. A stream of events may have any number of them, but none longer than this."""

LEAVE_PATIENCE: Final = 3.0
"""Seconds a server has to answer that we leave."""

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""All addresses of a host, the best first. Raises OSError."""

# An idle event stream says nothing for hours; a peer that is gone is found by the kernel, in two minutes.
_KEEPALIVE: Final = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)] + [
    (socket.IPPROTO_TCP, getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
    if hasattr(socket, name)
]


async def resolve(host: str, port: int) -> list[str]:
    """`Resolve` as the machine does it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys([str(address[0]) for *_, address in found]))


def http_client(
    headers: Mapping[str, str], *, timeout: float, allow_private: bool, resolve: Resolve = resolve
) -> httpx2.AsyncClient:
    """A client for one connection to a server. It uses no proxy and no credentials of the environment.

    Args:
        timeout: Seconds for opening a connection and for writing. Reading waits: calls have deadlines of their own.
    """
    inner = httpx2.AsyncHTTPTransport(socket_options=_KEEPALIVE)
    return httpx2.AsyncClient(
        headers={**headers, "accept-encoding": "identity"},
        timeout=httpx2.Timeout(timeout, read=None),
        transport=Wire(inner, allow_private=allow_private, resolve=resolve),
        trust_env=False,
    )


class Wire(httpx2.AsyncBaseTransport):
    """Looks its host up once, checks the addresses, and connects to those and no other: neither a second answer of the name
    server nor a redirect can lead elsewhere. Certificates are checked against the name. An answer is read to `LARGEST`, and
    not at all if it is compressed, which nobody asked for: a few bytes could stand for gigabytes.

    A POST that fails is answered with a JSON-RPC error, so that it is that request which fails and not the connection.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, *, allow_private: bool, resolve: Resolve = resolve) -> None:
        self._inner = inner
        self._allow_private = allow_private
        self._resolve = resolve
        self._host = ""
        self._addresses: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request, one answer.

        Raises:
            ConfigError: The host is, or also is, at an address that is not public.
            httpx2.TransportError: No answer, to anything but a POST.
        """
        if request.method != "POST":
            return await self._send(request)
        try:
            response = await self._send(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            return _failure(NOT_DELIVERED, error)
        except httpx2.TransportError as error:
            return _failure(CONNECTION_CLOSED, error)
        if response.status_code in (400, 404) and "mcp-session-id" in request.headers:
            await response.aclose()  # a restarted server does not know the session; it looked no further
            return _failure(NOT_DELIVERED, "the server no longer knows the session")
        return response

    async def aclose(self) -> None:
        """Close its connections."""
        await self._inner.aclose()

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        await self._look_up(request.url)
        while True:
            address = self._addresses[0]
            try:
                return await _bounded(await self._inner.handle_async_request(_pinned(request, address)))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if self._addresses == [address]:
                    raise
                if address in self._addresses:
                    self._addresses.remove(address)  # for good: the next one is as much the server's

    async def _look_up(self, url: httpx2.URL) -> None:
        if self._addresses:
            # Connections are kept by address: one that was made for one name must not serve another.
            if url.host != self._host:
                raise httpx2.ConnectError(f"{url.host} is not {self._host}")
            return
        try:
            found = await self._resolve(url.host, url.port or 443)
        except OSError as error:
            raise httpx2.ConnectError(f"{url.host} has no address: {error}") from error
        self._check(url.host, found)
        self._host, self._addresses = url.host, found

    def _check(self, host: str, addresses: list[str]) -> None:
        if not addresses:
            raise httpx2.ConnectError(f"{host} has no address")
        if not (self._allow_private or all(is_public(each) for each in addresses)):
            raise ConfigError(
                "The address of the MCP server is not a public one.",
                details="If it is meant to be there, say so with allow_private=True.",
                dev=f"{host} is at {', '.join(addresses)}",
            )


class _Bounded(httpx2.AsyncByteStream):
    """A body, up to `LARGEST`."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = LARGEST
        async for piece in self._body:
            left -= len(piece)
            if left < 0:
                # Of the errors that there are, this is the one by which the client fails the request, not the connection.
                raise httpx2.StreamError(f"the answer is larger than {LARGEST >> 20} MiB")
            yield piece

    async def aclose(self) -> None:
        await self._body.aclose()


async def _bounded(response: httpx2.Response) -> httpx2.Response:
    if response.headers.get("content-encoding", "identity") != "identity":
        await response.aclose()
        raise httpx2.RemoteProtocolError("the answer is compressed")
    is_stream = response.headers.get("content-type", "").lower().startswith("text/event-stream")
    if not is_stream and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Bounded(response.stream)
    return response


def _pinned(request: httpx2.Request, address: str) -> httpx2.Request:
    """The same request, to this address. The Host header is there already, and goes along."""
    extensions: dict[str, Any] = {**request.extensions, "sni_hostname": request.url.host}
    if request.method == "DELETE":
        extensions["timeout"] = {**extensions.get("timeout", {}), "read": LEAVE_PATIENCE}
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )


def _failure(code: int, why: Exception | str) -> httpx2.Response:
    said = why if isinstance(why, str) else f"{type(why).__name__}: {why}"
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": said}}
    return httpx2.Response(503, headers={"content-type": "application/json"}, content=msgspec.json.encode(body))
