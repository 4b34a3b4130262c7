"""The `ModelClient` for the Anthropic Messages API. Importing it does not import the SDK."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Final

from flue_actors.models.anthropic.body import API, encode_body, request_body
from flue_actors.models.anthropic.decoder import StreamDecoder
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.protocol import ModelEvent, ModelRequest, TextDelta
from flue_actors.models.transport import Transport

if TYPE_CHECKING:
    from flue_actors.models.anthropic.sdk import MessagesEndpoint

PULSE: Final = 1.0
"""Seconds after which bytes that are no text (a long tool call's arguments, pings) show as an empty `TextDelta`: the
caller's idle timeout must not take a model that is writing 100 KiB of arguments for a silent one."""


class AnthropicClient:
    """Performs requests through the SDK, which is loaded on first use or by `load`."""

    def __init__(
        self,
        transport: Transport,
        info_of: Callable[[str], ModelInfo],
        *,
        max_connections: int,
        pulse: float = PULSE,
    ) -> None:
        self._pulse = pulse
        self._transport = transport
        self._info_of = info_of
        self._max_connections = max_connections
        self._endpoint: MessagesEndpoint | None = None
        self._opening = asyncio.Lock()

    @property
    def api(self) -> str:
        """``anthropic-messages``."""
        return API

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
        """
        endpoint = self._endpoint or await self._open()
        body = encode_body(request_body(request, self._info_of(request.model)))
        decoder = StreamDecoder()
        clock = asyncio.get_running_loop().time
        last = clock()
        async with endpoint.stream(body) as chunks:
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
                    yield event
                if decoder.done:
                    return
        decoder.finish()

    async def aclose(self) -> None:
        """Close connections. Idempotent."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            await endpoint.aclose()

    async def _open(self) -> "MessagesEndpoint":
        async with self._opening:
            if self._endpoint is None:
                self._endpoint = await asyncio.to_thread(_endpoint, self._transport, self._max_connections)
            return self._endpoint


def _endpoint(transport: Transport, max_connections: int) -> "MessagesEndpoint":
    from flue_actors.models.anthropic.sdk import MessagesEndpoint

    return MessagesEndpoint(transport, max_connections)
