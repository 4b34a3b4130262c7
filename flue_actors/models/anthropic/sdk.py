"""Everything that touches the ``anthropic`` package: opening it, one raw request, its errors. Slow to import (1 s)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

import anthropic
import httpx2

from flue_actors.errors import ModelError
from flue_actors.models.failures import broken_stream, status_error
from flue_actors.models.transport import Transport

KEEPALIVE: Final = 55.0
"""Seconds an idle connection stays open; the HTTP client's own 5 s would cost most turns of a chat a new handshake."""

DRAIN: Final = 0.25
"""Seconds to wait for the end of a response whose reply is whole: only then its connection can be used again."""

TIMEOUT: Final = httpx2.Timeout(None, connect=10.0)
"""Only connecting is timed here: silence is the session's, and a read timer is 10 % of the CPU of a delta."""

_NO_KEY: Final = (
    "No API key for this model provider: set ANTHROPIC_API_KEY (provider anthropic), or pass api_key= to "
    "register_provider or configure_provider. Without one, use a scripted/... model."
)
_JSON: Final = {"Content-Type": "application/json"}


class MessagesEndpoint:
    """``POST /v1/messages`` through the SDK, on its aiohttp transport (half the CPU of its default one).

    Raises:
        ModelError: No credentials, neither given nor (where the transport allows it) in the SDK's own environment.
    """

    def __init__(self, transport: Transport, max_connections: int) -> None:
        limits = httpx2.Limits(
            max_connections=max_connections, max_keepalive_connections=max_connections, keepalive_expiry=KEEPALIVE
        )
        self._sdk = _open(transport, anthropic.DefaultAioHttpClient(limits=limits))
        # Joined once: the SDK's own joining of base URL and path is 5 % of a request's CPU.
        self._url = f"{str(self._sdk.base_url).rstrip('/')}/v1/messages"

    @asynccontextmanager
    async def stream(self, body: bytes) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Send one request; inside the block its answer's bytes come as they arrive, and leaving it closes the stream.

        Raises:
            ModelError: The provider refused, could not be reached, or broke off.
        """
        try:
            response = await self._sdk.post(
                self._url,
                cast_to=httpx2.Response,
                content=body,
                options={"headers": _JSON, "timeout": TIMEOUT},
                stream=True,
            )
            try:
                yield _chunks(response)
            finally:
                await response.aclose()
        except anthropic.APIStatusError as error:
            raise status_error(
                error.status_code, retry_after=_retry_after(error.response), dev=_words(error)
            ) from error
        except (anthropic.APIConnectionError, httpx2.HTTPError, OSError) as error:
            raise broken_stream(f"{type(error).__name__}: {error}") from error
        except anthropic.AnthropicError as error:
            raise ModelError(dev=f"{type(error).__name__}: {error}") from error

    @staticmethod
    async def drain(chunks: AsyncIterator[bytes]) -> None:
        """Read what is left; give up quietly when it does not come."""
        try:
            async with asyncio.timeout(DRAIN):
                async for _ in chunks:
                    pass
        except (TimeoutError, httpx2.HTTPError, OSError):
            return

    async def aclose(self) -> None:
        """Close every connection."""
        await self._sdk.close()


def _open(transport: Transport, http_client: httpx2.AsyncClient) -> anthropic.AsyncAnthropic:
    try:
        sdk = anthropic.AsyncAnthropic(
            # An explicit key, even an empty one, keeps the SDK from sending the environment's key elsewhere.
            api_key=transport.api_key if transport.environment else transport.api_key or "",
            base_url=transport.base_url,
            default_headers=transport.headers,
            max_retries=0,
            http_client=http_client,
        )
    except anthropic.AnthropicError as error:
        raise ModelError(dev=f"{_NO_KEY} (The SDK's own search ended with: {error})") from error
    named = {name.lower() for name in transport.headers}
    if not (sdk.api_key or sdk.auth_token or sdk.credentials or named & {"authorization", "x-api-key"}):
        raise ModelError(dev=_NO_KEY)
    return sdk


def _chunks(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The bytes as they arrive. aiter_bytes would put four generators around them; without compression they do nothing."""
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    return aiter(cast("httpx2.AsyncByteStream", response.stream))


def _words(error: anthropic.APIStatusError) -> str:
    return f"{error.type or type(error).__name__}: {error.api_message or error.message} ({error.request_id})"


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds, from ``retry-after-ms`` or ``retry-after``; None for the date form, which nobody sends here."""
    for header, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(response.headers.get(header, "")) / unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None
