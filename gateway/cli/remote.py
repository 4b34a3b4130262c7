"""A conversation with an agent behind a server, over its WebSocket."""

import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
from msgspec import UNSET, UnsetType
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from flue_actors.errors import UnavailableError
from flue_actors.events import Event
from flue_actors.gateway.cli.chat import Chat, failed
from flue_actors.gateway.cli.dialing import Target
from flue_actors.gateway.wire import (
    AbortFrame,
    ErrorBody,
    ErrorFrame,
    PongFrame,
    PromptFrame,
    ReadyFrame,
    ResultFrame,
    StartedFrame,
    encode,
)

_NOT_SENT = "Your last line was not sent."
_UNKNOWN = "It is not known whether your last line arrived."
_ACCEPTED = "Your last line was accepted and is worked on all the same."


class _EventFrame(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="event"):
    request_id: str
    event: msgspec.Raw


_frame = msgspec.json.Decoder(ReadyFrame | StartedFrame | _EventFrame | ResultFrame | ErrorFrame | PongFrame)
_event = msgspec.json.Decoder(Event)


@asynccontextmanager
async def remote_chat(target: Target, *, session: str) -> AsyncGenerator[Chat]:
    """Connect to an agent instance. Errors as `Target.dial`."""
    async with await target.dial() as socket:
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
