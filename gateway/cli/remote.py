"""A conversation with an agent behind a server, over its WebSocket."""

import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from ssl import SSLError
from typing import Protocol
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import UNSET, UnsetType
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import CloseCode

from flue_actors.errors import ConfigError, FlueError, TurnError, UnavailableError, turn_error
from flue_actors.events import Event
from flue_actors.gateway.wire import (
    AbortFrame,
    ErrorBody,
    ErrorEnvelope,
    ErrorFrame,
    PongFrame,
    PromptFrame,
    ReadyFrame,
    ResultFrame,
    StartedFrame,
    encode,
)

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


_NOT_SENT = "Your last line was not sent."
_UNKNOWN = "It is not known whether your last line arrived."
_ACCEPTED = "Your last line was accepted and is worked on all the same."


class Chat(Protocol):
    """One conversation, wherever the agent runs."""

    def ask(self, message: str) -> AsyncIterator[Event]:
        """Send a message; its events until it is answered.

        Raises:
            CallerError, TurnError: This message got no answer; the next one may.
            UnavailableError: The conversation is over.
        """
        ...

    async def abort(self) -> None:
        """Stop the message that is being answered, if there is one: `ask` ends with an `AbortedError`."""
        ...

    async def lost(self) -> UnavailableError:
        """Wait until the conversation is over without our doing, and say why."""
        ...


class _EventFrame(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="event"):
    request_id: str
    event: msgspec.Raw


_frame = msgspec.json.Decoder(ReadyFrame | StartedFrame | _EventFrame | ResultFrame | ErrorFrame | PongFrame)
_event = msgspec.json.Decoder(Event)
_envelope = msgspec.json.Decoder(ErrorEnvelope)


def socket_url(url: str, agent: str, id: str) -> str:
    """The WebSocket address of an instance of the server at ``url`` (http or ws, with or without a path prefix).

    Raises:
        ConfigError: That is not the address of a server.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.netloc:
        raise ConfigError(f'"{url}" is not the address of a server.', details="Write it as http://127.0.0.1:3583.")
    path = f"{parts.path.rstrip('/')}/agents/{quote(agent, safe='')}/{quote(id, safe='')}"
    return f"{_SCHEMES[parts.scheme]}://{parts.netloc}{path}"


@asynccontextmanager
async def remote_chat(url: str, agent: str, id: str, *, session: str, token: str | None) -> AsyncGenerator[Chat]:
    """Connect to an agent instance.

    Raises:
        ConfigError: ``url`` is not an address.
        UnavailableError: No server answers there, or it refuses.
    """
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    try:
        socket = await connect(socket_url(url, agent, id), additional_headers=headers, max_size=None)
    except InvalidStatus as refusal:
        raise _refused(refusal, agent) from None
    except SSLError as problem:
        raise UnavailableError(
            f"No secure connection to {url} ({problem}).", details="A server without TLS is named with http://."
        ) from None
    except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as problem:
        raise UnavailableError(
            f"No server answers at {url} ({problem or type(problem).__name__}).",
            details="Start one with: flue-actors dev. Or talk to the project in this folder with: --local.",
        ) from None
    async with socket:
        yield _RemoteChat(socket, session)


class _RemoteChat:
    def __init__(self, socket: ClientConnection, session: str) -> None:
        self._socket = socket
        self._session = session
        self._requests = itertools.count(1)
        self._asked: str | None = None  # the request that is being answered

    async def ask(self, message: str) -> AsyncIterator[Event]:
        request = self._asked = str(next(self._requests))
        fate = _NOT_SENT
        try:
            await self._send(PromptFrame(version=1, request_id=request, message=message, session=self._session))
            fate = _UNKNOWN
            async for text in self._socket:
                match _frame.decode(text):
                    case StartedFrame(request_id=id) if id == request:
                        fate = _ACCEPTED
                    case _EventFrame(request_id=id, event=raw) if id == request:
                        if (event := _known_event(raw)) is not None:
                            yield event
                    case ResultFrame(request_id=id) if id == request:
                        return
                    case ErrorFrame(request_id=id, error=body) if id == request or _is_about_nothing(id, body):
                        raise failed(body.type, body.message, body.details, body.dev)
                    case _:
                        pass
        except ConnectionClosed:
            pass
        finally:
            self._asked = None
        raise self._loss(fate)

    async def abort(self) -> None:
        if self._asked is not None:
            with suppress(ConnectionClosed):  # which `ask` hears as well
                await self._send(AbortFrame(version=1, request_id=self._asked))

    async def lost(self) -> UnavailableError:
        await self._socket.wait_closed()
        return self._loss()

    def _loss(self, fate: str = "") -> UnavailableError:
        code, reason = self._socket.close_code, self._socket.close_reason
        why = f"{code} {reason}".strip() if code not in {None, CloseCode.ABNORMAL_CLOSURE} else "connection lost"
        return UnavailableError(
            f"The server closed the connection ({why}).", details=f"{fate} Connect again to go on.".strip()
        )

    async def _send(self, frame: PromptFrame | AbortFrame) -> None:
        await self._socket.send(encode(frame).decode())


def _is_about_nothing(request_id: str | UnsetType, body: ErrorBody) -> bool:
    """True for an error of no request; one that names a request in ``meta`` says that it was not aborted, no more."""
    return request_id is UNSET and (body.meta is UNSET or "requestId" not in body.meta)


def _known_event(raw: msgspec.Raw) -> Event | None:
    """None for the events of a newer server."""
    try:
        return _event.decode(raw)
    except msgspec.ValidationError:
        return None


def failed(type: str, message: str, *more: str | UnsetType) -> TurnError:
    """A message that got no answer, from what was said about it."""
    return turn_error(type, message, _lines(*more))


def _lines(*texts: str | UnsetType) -> str:
    return "\n".join([text for text in texts if text is not UNSET])


def _refused(refusal: InvalidStatus, agent: str) -> FlueError:
    status = refusal.response.status_code
    if status == 401:
        return UnavailableError(
            "The server wants to know who you are.", details="Send the agent's token with --token or FLUE_TOKEN."
        )
    try:
        body = _envelope.decode(refusal.response.body or b"").error
    except msgspec.DecodeError:
        return UnavailableError(f"The server refused the connection with status {status}.", details="")
    if status == 404:
        hint = f'Check that the server has an agent "{agent}" and that it opens the WebSocket transport.'
        return UnavailableError(body.message, details=hint)
    return UnavailableError(body.message, details=_lines(body.details, body.dev))
