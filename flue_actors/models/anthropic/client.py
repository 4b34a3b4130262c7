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
    from anthropic import AsyncAnthropic


class AnthropicClient:
    """Performs requests through the SDK, which is loaded on first use or by `load`."""

    def __init__(self, transport: Transport, info_of: Callable[[str], ModelInfo], *, max_connections: int) -> None:
        self._transport = transport
        self._info_of = info_of
        self._max_connections = max_connections
        self._sdk: AsyncAnthropic | None = None

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
        if self._sdk is None:
            await self.load()
        from flue_actors.models.anthropic.sdk import drain, open_sdk, open_stream

        if self._sdk is None:
            self._sdk = open_sdk(self._transport, self._max_connections)
        info = self._info_of(request.model)
        body = encode_body(request_body(request, info))
        decoder = StreamDecoder(info.prices)
        async with open_stream(self._sdk, body) as chunks:
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
        sdk, self._sdk = self._sdk, None
        if sdk is not None:
            await sdk.close()
