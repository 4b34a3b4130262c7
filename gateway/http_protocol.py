"""uvicorn's HTTP protocol with the limits it lacks: size of the head, and how slowly head, body and reading may go.

Deadlines are kept by one sweep over all connections (`server`), which calls `HttpProtocol.sweep` with the time: a
connection costs two numbers, not a timer. uvicorn alone lets a silent or trickling client sit for ever and takes a
head of any size.
"""

import asyncio
from typing import Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from flue_actors.definition.settings import Settings
from flue_actors.errors import CallerError, FlueError, InvalidRequestError, RequestTimeoutError, TooLargeError
from flue_actors.gateway.config import GatewayConfig
from flue_actors.gateway.errors import answer
from flue_actors.gateway.reading import ReaderWatch

MAX_HEADERS: Final = 100

MIN_BODY_RATE: Final = 16 * 1024
"""Bytes per second that move a body's deadline out: a large upload on a slow line is not an attack."""


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection."""

    config: GatewayConfig

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A client connected: its first head is due."""
        super().connection_made(transport)
        self._settings: Settings = self.config.settings
        self._rejection: FlueError | None = None
        self._head_size = 0
        self._in_head = True
        self._in_body = False
        self._body_size = 0
        self._since = self.loop.time()  # when the head, the body or the stall began
        self._reader = ReaderWatch()

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        if self._rejection is not None:
            return
        if self._in_head:
            if self._head_size == 0:
                self._since = self.loop.time()
            self._head_size += len(data)
        super().data_received(data)
        if self._in_head and self._head_size > self._settings.max_head and self._rejection is None:
            self._reject(_head_too_large(self._settings))

    def on_message_begin(self) -> None:
        """A request's first byte was parsed."""
        super().on_message_begin()
        self._header_size = 0

    def on_url(self, url: bytes) -> None:
        """The request target, perhaps in parts."""
        super().on_url(url)
        self._header_size += len(url)
        if not url.isascii():
            self._refuse(InvalidRequestError("The path is not percent-encoded."))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        super().on_header(name, value)
        self._header_size += len(name) + len(value) + 4
        if self._header_size > self._settings.max_head or len(self.headers) > MAX_HEADERS:
            self._refuse(_head_too_large(self._settings))

    def on_headers_complete(self) -> None:
        """The head is whole: the body is due."""
        self._check_head()
        self._in_head = False
        self._in_body = True
        self._head_size = 0
        self._body_size = 0
        self._since = self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._body_size += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; the next head may come."""
        self._in_head = True
        self._in_body = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The peer does not read."""
        self._reader.begin(self.loop.time(), self.transport.get_write_buffer_size())
        super().pause_writing()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._reader.end()
        super().resume_writing()

    def sweep(self, now: float) -> None:
        """End the connection if its head, its body or its reader is late. ``now`` is the loop's time."""
        if self._reader.behind:
            if self._reader.stalled(now, self.transport.get_write_buffer_size(), self._settings.stall_timeout):
                self.transport.abort()
        elif self.transport.is_closing():
            return
        elif self._in_body:
            if self.flow.read_paused:
                self._since = now  # the application is the slow one
            elif now - self._since > self._settings.body_timeout + self._body_allowance():
                self._reject(RequestTimeoutError())
        elif self._awaits_head() and now - self._since > self._settings.head_timeout:
            self._reject(RequestTimeoutError())

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when its parser, or one of the callbacks above, refused."""
        rejection, self._rejection = self._rejection, None
        self._reject(rejection or InvalidRequestError("This is not valid HTTP/1.1."))

    def _refuse(self, error: CallerError) -> None:
        """Stop the parser from inside one of its callbacks."""
        self._rejection = error
        raise error

    def _reject(self, error: FlueError) -> None:
        """Take nothing more. Say why and close; but requests that came before still get their answers first."""
        self._rejection = error
        cycle = self._last_cycle()
        if not self._in_body and cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
            return
        if self._may_answer():
            self.transport.write(_response(error))
        self.transport.close()

    def _may_answer(self) -> bool:
        if self._in_body:
            return not self.pipeline and not self.cycle.response_started
        # To a client that never said a word we say nothing either.
        return self._head_size > 0 or self._last_cycle() is not None

    def _awaits_head(self) -> bool:
        # Between requests uvicorn's own keep-alive timer runs; while one is answered, the next head may take its time.
        cycle = self._last_cycle()
        return cycle is None or (self._head_size > 0 and cycle.response_complete)

    def _last_cycle(self) -> RequestResponseCycle | None:
        # uvicorn declares it as always there and sets it to None until the first request.
        return cast("RequestResponseCycle | None", self.cycle)

    def _body_allowance(self) -> float:
        return 0.0 if self.cycle.response_complete else self._body_size / MIN_BODY_RATE

    def _check_head(self) -> None:
        version = cast("httptools.HttpRequestParser", self.parser).get_http_version()
        if version not in {"1.0", "1.1"}:
            self._refuse(InvalidRequestError("Only HTTP/1.1 and HTTP/1.0 are spoken here."))
        hosts = sum(1 for name, _ in self.headers if name == b"host")
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            self._refuse(InvalidRequestError("The request must have exactly one Host header."))


def _head_too_large(settings: Settings) -> TooLargeError:
    return TooLargeError(f"The request's head is larger than {settings.max_head} bytes or {MAX_HEADERS} headers.")


def _response(error: FlueError) -> bytes:
    status = 431 if isinstance(error, TooLargeError) else answer(error).status
    body = answer(error).body
    return b"%bcontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (
        STATUS_LINE[status],
        len(body),
        body,
    )
