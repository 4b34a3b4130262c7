"""The `ModelClient` for the Anthropic Messages API. Importing it does not import the SDK."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

from flue_actors.models.anthropic.body import API, encode_body, request_body
from flue_actors.models.anthropic.decoder import StreamDecoder
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.protocol import ModelEvent, ModelRequest
from flue_actors.models.transport import Transport

if TYPE_CHECKING:
    from flue_actors.models.anthropic.sdk import MessagesEndpoint


class AnthropicClient:
    """Performs requests through the SDK, which is loaded on first use or by `load`."""

    def __init__(self, transport: Transport, info_of: Callable[[str], ModelInfo], *, max_connections: int) -> None:
        self._transport = transport
        self._info_of = info_of
        self._max_connections = max_connections
        self._endpoint: MessagesEndpoint | None = None

    @property
    def api(self) -> str:
        """``anthropic-messages``."""
        return API

    async def load(self) -> None:
        """Import the SDK in a worker thread (about a second)."""
        await asyncio.to_thread(importlib.import_module, "flue_actors.models.anthropic.sdk")

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Perform one request; see `ModelClient.stream`.

        Raises:
            ModelError: As the port says; also when no API key is configured.
            ModelRefusedError: The model declined to answer.
        """
        if self._endpoint is None:
            await self.load()
        from flue_actors.models.anthropic.sdk import MessagesEndpoint, drain

        if self._endpoint is None:
            self._endpoint = MessagesEndpoint(self._transport, self._max_connections)
        info = self._info_of(request.model)
        body = encode_body(request_body(request, info))
        decoder = StreamDecoder(info.prices)
        async with self._endpoint.stream(body) as chunks:
            async for chunk in chunks:
                events = decoder.feed(chunk)
                if decoder.done:
                    await drain(chunks)
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
