"""The `ModelClient` for the Anthropic Messages API. Importing it does not import the SDK."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable

from flue_actors.errors import ModelError
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.protocol import ModelEvent, ModelRequest
from flue_actors.models.transport import Transport


class AnthropicClient:
    """Performs requests through the SDK, which is loaded on first use or by `load`."""

    def __init__(self, transport: Transport, info_of: Callable[[str], ModelInfo], *, max_connections: int) -> None:
        self._transport = transport
        self._info_of = info_of
        self._max_connections = max_connections

    @property
    def api(self) -> str:
        """``anthropic-messages``."""
        return "anthropic-messages"

    async def load(self) -> None:
        """Import the SDK in a worker thread (about a second)."""
        await asyncio.to_thread(importlib.import_module, "anthropic")

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        """Perform one request."""
        raise ModelError(dev="not here yet")
        yield

    async def aclose(self) -> None:
        """Close connections."""
