"""A `ModelClient` that streams over HTTP: one room for every wire protocol, which is a `Dialect`.

Bytes are read raw and decoded by the dialect; the provider's SDK is behind its `Endpoint`, and is imported only on first
use or by `HttpModelClient.load`.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import msgspec

from flue_actors.models.attachments import Base64Cache
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.protocol import ModelEvent, ModelRequest, ReplyDone, TextDelta
from flue_actors.models.scripted_replies import estimated_usage
from flue_actors.models.transport import Transport

PULSE: Final = 1.0
"""Seconds after which bytes that are no text (a long tool call's arguments, pings) show as an empty `TextDelta`: the
caller's idle timeout must not take a model that is writing 100 KiB of arguments for a silent one."""

LARGE: Final = 256 * 1024
"""Bytes of attachments from which a request is put together off the loop: 10 MiB take 35 ms."""


class Decoder(Protocol):
    """A reply's bytes to events. ``done`` turns true with the `ReplyDone`."""

    done: bool

    def feed(self, data: bytes) -> list[ModelEvent]:
        """The events that these bytes complete. Raises `ModelError`."""
        ...

    def finish(self) -> list[ModelEvent]:
        """The stream ended: the last events. Raises `ModelError` when the reply is not whole."""
        ...


class Endpoint(Protocol):
    """A provider's address, through its SDK: authentication, connections, and error classes as `ModelError`."""

    def stream(self, body: bytes, headers: Mapping[str, str]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Send one request; inside the block its answer's bytes come as they arrive, and leaving it closes the stream."""
        ...

    async def drain(self, rest: AsyncIterator[bytes]) -> None:
        """Read the end of an answer whose reply is whole, so that its connection serves on."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


class Outgoing(msgspec.Struct, frozen=True):
    """What is known of an address when a request is put together.

    Attributes:
        own: It is the address of who made the protocol, not of somebody who speaks it too.
        affinity: The conversation's key, hashed: it may name a person. Empty without one.
        cache: What attachments are in base64.
    """

    own: bool
    affinity: str
    cache: Base64Cache


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """A wire protocol.

    Attributes:
        api: Its name, as in events.
        encode: The request's body. Pure.
        headers: The request's own headers. Pure.
        decoder: For one reply.
        connect: Imports the SDK and opens it for so many connections; slow. Raises `ModelError` without an API key.
    """

    api: str
    encode: Callable[[ModelRequest, ModelInfo, Outgoing], bytes]
    decoder: Callable[[], Decoder]
    connect: Callable[[Transport, int], Endpoint]
    headers: Callable[[ModelInfo, Outgoing], Mapping[str, str]]


class HttpModelClient:
    """Performs requests in one dialect against one address."""

    def __init__(
        self,
        dialect: Dialect,
        transport: Transport,
        info_of: Callable[[str], ModelInfo],
        *,
        max_connections: int,
        pulse: float = PULSE,
    ) -> None:
        self._dialect = dialect
        self._transport = transport
        self._info_of = info_of
        self._max_connections = max_connections
        self._pulse = pulse
        self._cache = Base64Cache()
        self._endpoint: Endpoint | None = None
        self._opening = asyncio.Lock()

    @property
    def api(self) -> str:
        """The dialect's name."""
        return self._dialect.api

    async def load(self) -> None:
        """Import the SDK and open it, in a worker thread: about a second the first time, then 20 ms for TLS.

        Raises:
            ModelError: No API key is configured.
        """
        await self._open()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Perform one request; see `ModelClient.stream`.

        Raises:
            ModelError: As the port says; also when no API key is configured.
            ModelRefusedError: The model declined to answer.
            ContextOverflowError: The request, or the request and its reply, are longer than the model's window.
        """
        endpoint = self._endpoint or await self._open()
        outgoing = Outgoing(self._transport.own, _hashed(request.affinity), self._cache)
        info = self._info_of(request.model)
        body = await self._encode(request, info, outgoing)
        decoder = self._dialect.decoder()
        clock = asyncio.get_running_loop().time
        last = clock()
        async with endpoint.stream(body, self._dialect.headers(info, outgoing)) as chunks:
            async for chunk in chunks:
                events = decoder.feed(chunk)
                if decoder.done:
                    await endpoint.drain(chunks)
                if events:
                    last = clock()
                elif clock() - last > self._pulse:
                    last = clock()
                    yield TextDelta("")
                for event in events:
                    yield _counted(event, request)
                if decoder.done:
                    return
        for event in decoder.finish():
            yield _counted(event, request)

    async def aclose(self) -> None:
        """Close connections. Idempotent."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            await endpoint.aclose()

    async def _encode(self, request: ModelRequest, info: ModelInfo, outgoing: Outgoing) -> bytes:
        if sum(map(len, request.attachments.values())) < LARGE:
            return self._dialect.encode(request, info, outgoing)
        return await asyncio.to_thread(self._dialect.encode, request, info, outgoing)

    async def _open(self) -> Endpoint:
        async with self._opening:
            if self._endpoint is None:
                self._endpoint = await asyncio.to_thread(self._dialect.connect, self._transport, self._max_connections)
            return self._endpoint


def _counted(event: ModelEvent, request: ModelRequest) -> ModelEvent:
    """Estimates what a server did not count: caps and summaries go by it, and nothing is for free."""
    if not isinstance(event, ReplyDone) or event.usage.total_tokens:
        return event
    return msgspec.structs.replace(event, usage=estimated_usage(request, event.content))


def _hashed(affinity: str) -> str:
    return hashlib.blake2b(affinity.encode(), digest_size=16).hexdigest() if affinity else ""
