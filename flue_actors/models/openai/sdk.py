"""Everything that touches the ``openai`` package: opening it, one raw request, its errors. Slow to import (0.4 s)."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import httpx2
import openai

from flue_actors.errors import ModelError
from flue_actors.models.failures import broken_stream, status_error
from flue_actors.models.raw_http import (
    TIMEOUT,
    chunks,
    content,
    drain,
    foreign_headers,
    length_header,
    limits,
    retry_after,
)
from flue_actors.models.transport import Transport

_NO_KEY: Final = (
    "No API key for this model provider: set OPENAI_API_KEY (provider openai), or pass api_key= to register_provider "
    "or configure_provider. A server that needs none needs a base_url=."
)
_KEYLESS: Final = "keyless"
"""The SDK insists on a key; a server of your own often has none. It is not sent."""


class ChatEndpoint:
    """``POST /chat/completions`` through the SDK, on its aiohttp transport.

    Raises:
        ModelError: No API key for OpenAI itself; another server may need none.
    """

    def __init__(self, transport: Transport, max_connections: int) -> None:
        self._sdk = _open(transport, openai.DefaultAioHttpClient(limits=limits(max_connections)))
        self._url = f"{str(self._sdk.base_url).rstrip('/')}/chat/completions"
        self._headers: dict[str, str | openai.Omit] = {"Content-Type": "application/json"}
        for name in foreign_headers(transport, "OPENAI_CUSTOM_HEADERS"):
            if name.lower() != "authorization":
                self._headers[name] = openai.Omit()
        if not _names_key(transport):
            key = self._sdk.api_key
            self._headers["Authorization"] = openai.Omit() if key == _KEYLESS else f"Bearer {key}"

    @asynccontextmanager
    async def stream(self, body: bytes, headers: Mapping[str, str]) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Send one request; inside the block its answer's bytes come as they arrive, and leaving it closes the stream.

        Raises:
            ModelError: The provider refused, could not be reached, or broke off.
        """
        try:
            response = await self._sdk.post(
                self._url,
                cast_to=httpx2.Response,
                content=content(body),
                options={"headers": {**self._headers, **length_header(body), **headers}, "timeout": TIMEOUT},
                stream=True,
            )
            try:
                yield chunks(response)
            finally:
                await response.aclose()
        except openai.APIStatusError as error:
            raise _status_error(error) from error
        except (openai.APIConnectionError, httpx2.HTTPError, OSError) as error:
            raise broken_stream(f"{type(error).__name__}: {error}") from error
        except openai.OpenAIError as error:
            raise ModelError(dev=f"{type(error).__name__}: {error}") from error

    async def drain(self, rest: AsyncIterator[bytes]) -> None:
        """Read what is left; give up quietly when it does not come."""
        await drain(rest)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._sdk.close()


def _open(transport: Transport, http_client: httpx2.AsyncClient) -> openai.AsyncOpenAI:
    keyless = _names_key(transport) or not transport.own
    key = transport.api_key or (None if transport.environment and not keyless else _KEYLESS)
    if key == _KEYLESS and not keyless:
        raise ModelError(dev=_NO_KEY)
    try:
        sdk = openai.AsyncOpenAI(
            api_key=key,
            base_url=transport.base_url,
            default_headers=transport.headers,
            max_retries=0,
            http_client=http_client,
        )
    except openai.OpenAIError as error:
        raise ModelError(dev=f"{_NO_KEY} (The SDK's own search ended with: {error})") from error
    if not sdk.api_key:  # it would be content with an administrator's key, which cannot ask models
        raise ModelError(dev=_NO_KEY)
    if not transport.environment:  # the environment's organization is another account's
        sdk.organization = sdk.project = None
    return sdk


def _names_key(transport: Transport) -> bool:
    return any(name.lower() == "authorization" for name in transport.headers)


def _status_error(error: openai.APIStatusError) -> ModelError:
    codes = [code for code in (error.code, error.type) if code]
    dev = f"{' '.join(codes) or type(error).__name__}: {error.message} ({error.request_id})"
    return status_error(
        error.status_code, codes=codes, words=error.message, retry_after=retry_after(error.response), dev=dev
    )
