"""What every local model server shares: counters, faults, one asyncio protocol per connection, a free port.

Requests are parsed by httptools and answered with one write: about 10,000 small replies a second on one core, so that the
server is never what a benchmark measures.
"""

import asyncio
import random
import socket
import struct
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, cast

import httptools
import msgspec

from flue_actors.models import script
from tests.messages_api.cache import InputTokens, PromptCache
from tests.messages_api.plans import Fault, Plan, chunk
from tests.messages_api.replies import letters

_RECORDED: Final = 10_000


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the server answers where the user's text asks for nothing else.

    Attributes:
        text: Answer this instead of the echo.
        deltas: Answer with this many deltas of ``size`` letters; 0 = ``text`` or the echo.
        size: Characters a delta.
        rate: Events a second; 0 = all at once.
        delay: Seconds to the first byte.
        api_key: The one key that is accepted; None = any.
        accounting: Keep prompt-cache accounts and validate the history (off: a benchmark's server is cheaper).
        min_cache_tokens: Shorter prefixes are not cached (the real ones: 1,024 and more).
        record: Keep the requests.
        capacity: Answers at a time; whoever asks for more is told 529. 0 = any number.
        window: Tokens of input; more of it is too long. 0 = any number. Needs ``accounting``.
        bound: Reasoning is refused behind another history than the one it came from.
    """

    text: str | None = None
    deltas: int = 0
    size: int = 20
    rate: float = 0
    delay: float = 0
    api_key: str | None = None
    accounting: bool = True
    min_cache_tokens: int = 0
    record: bool = True
    capacity: int = 0
    window: int = 0
    bound: bool = False


class Recorded(msgspec.Struct, frozen=True):
    """One request as it came: header names in lower case, the parsed body, its bytes, and what its input cost."""

    headers: dict[str, str]
    body: dict[str, Any]
    raw: bytes
    tokens: InputTokens


class ApiServer:
    """Answers requests by `plan`, which a subclass decides.

    Attributes:
        url: ``http://127.0.0.1:<port>``.
        requests: The newest 10,000 requests, in order of arrival.
        count: Requests so far.
        connections: Connections accepted so far.
        streaming: Answers on their way now.
        most: Of these, at the same time.
        refused: Requests beyond the capacity.
        abandoned: Answers the client left before their end.
        transports: Connections open now.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url = ""
        self.requests: deque[Recorded] = deque(maxlen=_RECORDED)
        self.count = 0
        self.connections = 0
        self.streaming = 0
        self.most = 0
        self.refused = 0
        self.abandoned = 0
        self.transports: set[asyncio.Transport] = set()
        self.faults: deque[Fault] = deque()
        self.cache = PromptCache(min_tokens=settings.min_cache_tokens)
        self.canned = letters(settings.deltas * settings.size) if settings.deltas else settings.text
        self._attempts: dict[tuple[str, int], int] = {}

    def fail(self, *faults: Fault) -> None:
        """What happens to the next requests, one fault each."""
        self.faults.extend(faults)

    def plan(self, url: bytes, headers: dict[str, str], raw: bytes) -> Plan:
        """Decide the answer to one request."""
        raise NotImplementedError

    def fault_of(self, step: script.Step, key: tuple[str, int]) -> Fault | None:
        """What goes wrong with this request: what `fail` said, or what its text asks for."""
        if self.faults:
            return self.faults.popleft()
        if not step.faults:
            return None
        attempt = self._attempts.get(key, 0)
        self._attempts[key] = attempt + 1
        fault = step.fault(attempt)
        if fault is None:
            del self._attempts[key]
            return None
        if fault.kind == "fail":
            return Fault("status", status=fault.status, retry_after=fault.retry_after)
        return Fault("half") if fault.kind == "half" else Fault("slow", seconds=86_400)


class _Connection(asyncio.Protocol):
    """One client connection: requests in, plans out, one after the other."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._running = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)
        self._server.connections += 1
        self._server.transports.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._running:
            self._server.abandoned += 1
            self._stop()
        if self._transport is not None:
            self._server.transports.discard(self._transport)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._close()

    # httptools calls these.
    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        plan = self._server.plan(self._url, self._headers, b"".join(self._body))
        self._url, self._headers, self._body = b"", {}, []
        self._running = True
        self._server.streaming += 1
        if plan.chunked:
            self._server.most = max(self._server.most, self._server.streaming)
        if plan.delay:
            self._timer = asyncio.get_running_loop().call_later(plan.delay, self._begin, plan)
        else:
            self._begin(plan)

    def _begin(self, plan: Plan) -> None:
        if not plan.chunked:
            self._write(plan.head + b"".join(plan.frames))
            self._stop()
        elif not plan.rate:
            body = b"".join(plan.frames)
            end = chunk(b"") if plan.ending == "end" else b""
            self._write(plan.head + chunk(body) + end)
            self._end(plan)
        else:
            self._write(plan.head)
            self._next(plan, 0, asyncio.get_running_loop().time())

    def _next(self, plan: Plan, index: int, due: float) -> None:
        if index == len(plan.frames):
            if plan.ending == "end":
                self._write(chunk(b""))
            self._end(plan)
            return
        self._write(chunk(plan.frames[index]))
        due += 1 / plan.rate
        self._timer = asyncio.get_running_loop().call_at(due, self._next, plan, index + 1, due)

    def _end(self, plan: Plan) -> None:
        if plan.ending == "silence":
            return
        if plan.ending == "late_end":
            self._timer = asyncio.get_running_loop().call_later(0.02, self._end_late)
            return
        self._stop()
        if plan.ending == "reset" and self._transport is not None:
            # SO_LINGER with 0 seconds: closing sends RST. Later, so that what was written leaves first.
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            asyncio.get_running_loop().call_later(0.02, self._transport.abort)
        elif plan.ending == "close":
            self._close()

    def _end_late(self) -> None:
        self._write(chunk(b""))
        self._stop()

    def _stop(self) -> None:
        self._running = False
        self._server.streaming -= 1

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


_Server = TypeVar("_Server", bound=ApiServer)


@asynccontextmanager
async def serving(state: _Server, *, port: int = 0) -> AsyncGenerator[_Server]:
    """A server on the loopback interface while the block runs; port 0 = a free one."""
    listener = await _listen(state, port)
    state.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield state
    finally:
        listener.close()
        for transport in list(state.transports):
            transport.abort()
        await listener.wait_closed()


async def _listen(state: ApiServer, port: int) -> asyncio.Server:
    """A free port is one below the range outgoing connections take theirs from."""
    loop = asyncio.get_running_loop()
    for tried in [port] if port else random.sample(range(20_000, 32_000), 50):
        try:
            return await loop.create_server(lambda: _Connection(state), "127.0.0.1", tried, backlog=1024)
        except OSError:
            continue
    raise OSError(f"no port to listen on (asked for {port})")
