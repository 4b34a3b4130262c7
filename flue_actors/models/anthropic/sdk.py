"""Everything that touches the ``anthropic`` package: opening it, one raw request, its errors. Slow to import (1 s)."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import anthropic
import httpx2

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

_BETA: Final = "anthropic-beta"
_NO_KEY: Final = (
    "No API key for this model provider: set ANTHROPIC_API_KEY (provider anthropic), or pass api_key= to "
    "register_provider or configure_provider. Without one, use a scripted/... model."
)


class MessagesEndpoint:
    """``POST /v1/messages`` through the SDK, on its aiohttp transport (half the CPU of its default one).

    Raises:
        ModelError: No credentials, neither given nor (where the transport allows it) in the SDK's own environment.
    """

    def __init__(self, transport: Transport, max_connections: int) -> None:
        self._sdk = _open(transport, anthropic.DefaultAioHttpClient(limits=limits(max_connections)))
        # Joined once: the SDK's own joining of base URL and path is 5 % of a request's CPU.
        self._url = f"{str(self._sdk.base_url).rstrip('/')}/v1/messages"
        self._headers: dict[str, str | anthropic.Omit] = {"Content-Type": "application/json"}
        for name in foreign_headers(transport, "ANTHROPIC_CUSTOM_HEADERS"):
            key = transport.api_key if name.lower() == "x-api-key" else None
            self._headers[name] = key or anthropic.Omit()
        self._betas = [value for name, value in transport.headers.items() if name.lower() == _BETA]

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
                options={
                    "headers": {**self._headers, **length_header(body), **self._with_betas(headers)},
                    "timeout": TIMEOUT,
                },
                stream=True,
            )
            try:
                yield chunks(response)
            finally:
                await response.aclose()
        except anthropic.APIStatusError as error:
            raise _status_error(error) from error
        except (anthropic.APIConnectionError, httpx2.HTTPError, OSError) as error:
            raise broken_stream(f"{type(error).__name__}: {error}") from error
        except anthropic.AnthropicError as error:
            raise ModelError(dev=f"{type(error).__name__}: {error}") from error

    def _with_betas(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """A request's own beta does not take the place of those that were configured."""
        return {**headers, _BETA: ",".join([*self._betas, headers[_BETA]])} if _BETA in headers else headers

    async def drain(self, rest: AsyncIterator[bytes]) -> None:
        """Read what is left; give up quietly when it does not come."""
        await drain(rest)

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


def _status_error(error: anthropic.APIStatusError) -> ModelError:
    codes = [code for code in (error.type, error.error_code) if code]
    words = error.api_message or error.message
    dev = f"{error.type or type(error).__name__}: {words} ({error.request_id})"
    return status_error(error.status_code, codes=codes, words=words, retry_after=retry_after(error.response), dev=dev)
