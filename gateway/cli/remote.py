"""A conversation with an agent behind a server, over its WebSocket.

Every line is sent with an idempotency key. When the connection is lost in the middle of an answer, it is sent again over
the next one: it is accepted once, and the rest of its answer comes, whether only the network was gone or the server too.
"""

import itertools
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
from msgspec import UNSET, UnsetType
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from flue_actors.definition.attaching import File, Image
from flue_actors.errors import TooLargeError, UnavailableError
from flue_actors.events import Event, Log
from flue_actors.gateway.cli.chat import Chat, Question, Reconnected, failed
from flue_actors.gateway.cli.dialing import Target
from flue_actors.gateway.cli.line import PATIENCE, Line
from flue_actors.gateway.wire import (
    AbortFrame,
    ApprovalsFrame,
    ClientFrame,
    DecidedFrame,
    DecideFrame,
    Decision,
    ErrorBody,
    ErrorFrame,
    FilePart,
    ImagePart,
    ListFrame,
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


_frame = msgspec.json.Decoder(
    ReadyFrame | StartedFrame | _EventFrame | ResultFrame | ErrorFrame | DecidedFrame | ApprovalsFrame | PongFrame
)
_event = msgspec.json.Decoder(Event)


@asynccontextmanager
async def remote_chat(target: Target, *, session: str, patience: float = PATIENCE) -> AsyncGenerator[Chat]:
    """Connect to an agent instance, and again whenever the connection is lost.

    Args:
        target: Whom to talk to.
        session: Which of the instance's conversations.
        patience: Seconds without a server after which a lost conversation is over.

    Raises:
        ConfigError, UnavailableError: As `Target.dial`.
    """
    line = Line(target, await target.dial(), patience)
    try:
        yield _RemoteChat(line, session)
    finally:
        await line.socket.close()


class _RemoteChat:
    def __init__(self, line: Line, session: str) -> None:
        self._line = line
        self._session = session
        self._requests = itertools.count(1)
        self._question: _Question | None = None  # the one that is being answered

    async def ask(self, message: str, enclosed: Sequence[Image | File] = ()) -> AsyncIterator[Event | Reconnected]:
        question = self._question = _Question(self._next_id(), message, self._session, enclosed)
        try:
            while True:
                socket = self._line.socket
                try:
                    async for event in question.put(socket):
                        yield event
                    return
                except ConnectionClosed:
                    if socket.close_code == CloseCode.MESSAGE_TOO_BIG:
                        raise TooLargeError("Your message is larger than the server takes.") from None
                await self._line.mend(socket, question.fate)
                yield Reconnected()
        finally:
            self._question = None

    async def questions(self) -> list[Question]:
        listed = await self._call(ListFrame(version=1, request_id=self._next_id()))
        found = listed.approvals if isinstance(listed, ApprovalsFrame) else []
        return [Question(each.id, each.tool_name, each.args) for each in found]

    async def decide(self, id: str, decision: Decision, reason: str | None = None) -> None:
        frame = DecideFrame(version=1, request_id=self._next_id(), approval_id=id, decision=decision, reason=reason)
        if self._question is None:
            await self._call(frame)
        else:
            await self._question.decide(self._line.socket, frame)

    async def abort(self) -> None:
        if self._question is not None:
            await self._question.withdraw(self._line.socket)

    async def lost(self) -> UnavailableError:
        return await self._line.broken()

    async def _call(self, frame: ListFrame | DecideFrame) -> ApprovalsFrame | DecidedFrame:
        """Ask for something that is answered at once, and may be asked for again."""
        while True:
            socket = self._line.socket
            with suppress(ConnectionClosed):
                await _send(socket, frame)
                while True:
                    match _frame.decode(await socket.recv()):
                        case (ApprovalsFrame() | DecidedFrame()) as reply if reply.request_id == frame.request_id:
                            return reply
                        case ErrorFrame(request_id=id, error=body) if id == frame.request_id:
                            raise failed(body.type, body.message, body.details, body.dev)
                        case _:
                            pass
            await self._line.mend(socket)

    def _next_id(self) -> str:
        return str(next(self._requests))


class _Question:
    """One line, and what is known of it. ``fate`` says that in words for a person."""

    def __init__(self, request_id: str, message: str, session: str, enclosed: Sequence[Image | File]) -> None:
        self.fate = _NOT_SENT
        self._prompt = PromptFrame(
            version=1,
            request_id=request_id,
            message=message,
            session=session,
            images=tuple([_image_part(each) for each in enclosed if isinstance(each, Image)]),
            files=tuple([_file_part(each) for each in enclosed if isinstance(each, File)]),
            idempotency_key=uuid.uuid4().hex,
        )
        self._decisions: dict[str, DecideFrame] = {}  # nobody said that they are recorded
        self._unwanted = False

    async def put(self, socket: ClientConnection) -> AsyncIterator[Event]:
        """Send it; its events until it is answered.

        Raises:
            ConnectionClosed: It may be put again.
            TurnError: It got no answer.
        """
        request_id = self._prompt.request_id
        await _send(socket, self._prompt)
        if self.fate == _NOT_SENT:
            self.fate = _UNKNOWN
        if self._unwanted:
            await self.withdraw(socket)
        for decision in list(self._decisions.values()):
            await _send(socket, decision)
        while True:
            match _frame.decode(await socket.recv()):
                case StartedFrame(request_id=id) if id == request_id:
                    self.fate = _ACCEPTED
                case _EventFrame(request_id=id, event=raw) if id == request_id:
                    if (event := _known_event(raw)) is not None:
                        yield event
                case ResultFrame(request_id=id) if id == request_id:
                    return
                case DecidedFrame(request_id=id):
                    self._decisions.pop(id, None)
                case ErrorFrame(request_id=str(id), error=body) if self._decisions.pop(id, None):
                    yield Log(level="warn", message=body.message)
                case ErrorFrame(request_id=id, error=body) if id == request_id or _is_about_nothing(id, body):
                    raise failed(body.type, body.message, body.details, body.dev)
                case _:
                    pass

    async def decide(self, socket: ClientConnection, frame: DecideFrame) -> None:
        """Decide on a call of it; if the connection is lost, over the next one."""
        self._decisions[frame.request_id] = frame
        with suppress(ConnectionClosed):
            await _send(socket, frame)

    async def withdraw(self, socket: ClientConnection) -> None:
        """Have it aborted; if the connection is lost, over the next one."""
        self._unwanted = True
        with suppress(ConnectionClosed):
            await _send(socket, AbortFrame(version=1, request_id=self._prompt.request_id))


async def _send(socket: ClientConnection, frame: ClientFrame) -> None:
    await socket.send(encode(frame).decode())


def _image_part(image: Image) -> ImagePart:
    return ImagePart(data=image.data, mime_type=image.mime_type)


def _file_part(file: File) -> FilePart:
    return FilePart(data=file.data, mime_type=file.mime_type, name=file.name)


def _is_about_nothing(request_id: str | UnsetType, body: ErrorBody) -> bool:
    """True for an error of no request; one that names a request in ``meta`` says that it was not aborted, no more."""
    return request_id is UNSET and (body.meta is UNSET or "requestId" not in body.meta)


def _known_event(raw: msgspec.Raw) -> Event | None:
    """None for the events of a newer server."""
    try:
        return _event.decode(raw)
    except msgspec.ValidationError:
        return None
