import threading
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from flue_actors.errors import ModelError
from flue_actors.models.catalog import UNKNOWN, ModelInfo
from flue_actors.models.http_client import LARGE, Dialect, HttpModelClient, Outgoing
from flue_actors.models.openai.decoder import ChatDecoder
from flue_actors.models.protocol import ModelRequest
from flue_actors.models.transport import Transport
from tests.models.helpers import asking, events_of, reply_of


class SilentEndpoint:
    """Ends every answer before it begins."""

    def __init__(self, transport: Transport, max_connections: int) -> None:
        self.closed = 0

    @asynccontextmanager
    async def stream(self, body: bytes, headers: Mapping[str, str]) -> AsyncGenerator[AsyncIterator[bytes]]:
        async def nothing() -> AsyncGenerator[bytes]:
            return
            yield b""

        yield nothing()

    async def drain(self, rest: AsyncIterator[bytes]) -> None:
        """Nothing is left."""

    async def aclose(self) -> None:
        self.closed += 1


class UncountedEndpoint(SilentEndpoint):
    """Answers, and says nothing of tokens."""

    @asynccontextmanager
    async def stream(self, body: bytes, headers: Mapping[str, str]) -> AsyncGenerator[AsyncIterator[bytes]]:
        async def answer() -> AsyncGenerator[bytes]:
            yield b'data: {"choices": [{"delta": {"content": "12345678"}, "finish_reason": "stop"}]}\n\n'

        yield answer()


async def test_what_a_server_does_not_count_is_estimated() -> None:
    dialect = Dialect(
        api="a", encode=lambda *_: b"{}", headers=lambda *_: {}, decoder=ChatDecoder, connect=UncountedEndpoint
    )
    client = HttpModelClient(dialect, Transport(), lambda _: UNKNOWN, max_connections=1)
    usage = (await reply_of(client, asking("x" * 40))).usage
    await client.aclose()
    assert (usage.input, usage.output, usage.total_tokens) == (10, 2, 12)


async def _encoding_threads(attachment: bytes) -> list[threading.Thread]:
    seen: list[threading.Thread] = []

    def encode(request: ModelRequest, info: ModelInfo, outgoing: Outgoing) -> bytes:
        seen.append(threading.current_thread())
        return b"{}"

    dialect = Dialect(api="silence", encode=encode, headers=lambda *_: {}, decoder=ChatDecoder, connect=SilentEndpoint)
    client = HttpModelClient(dialect, Transport(), lambda _: UNKNOWN, max_connections=1)
    with pytest.raises(ModelError):
        await events_of(client, asking("hi", attachments={"a": attachment}))
    await client.aclose()
    return seen


async def test_only_a_large_request_is_put_together_off_the_loop() -> None:
    assert await _encoding_threads(b"x" * (LARGE - 1)) == [threading.current_thread()]
    assert await _encoding_threads(b"x" * LARGE) != [threading.current_thread()]
