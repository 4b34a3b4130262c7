"""Writing errors into Falcon responses and refused handshakes."""

from typing import Final

from falcon.asgi import Response, WebSocket

from flue_actors.definition.guards import GuardResponse
from flue_actors.gateway.asgi import Scope, refuse_handshake
from flue_actors.gateway.body import JSON
from flue_actors.gateway.errors import answer
from flue_actors.gateway.following import FollowStream
from flue_actors.gateway.streams import EventStream

Headers = tuple[tuple[str, str], ...]

_JSON: Final = ("content-type", JSON)


async def reply_error(response: Response, error: Exception, *, dev: bool = False) -> None:
    """Make ``response`` the error's envelope."""
    reply = answer(error, dev=dev)
    await _fill(response, reply.status, (*reply.headers, _JSON), reply.body)


async def reply_with(response: Response, denial: GuardResponse) -> None:
    """Make ``response`` what the guard answered."""
    await _fill(response, denial.status, _headers(denial), denial.body)


async def refuse(socket: WebSocket, scope: Scope, error: Exception, *, dev: bool = False) -> None:
    """Answer a handshake with the error's envelope."""
    reply = answer(error, dev=dev)
    await refuse_handshake(socket, scope, reply.status, (*reply.headers, _JSON), reply.body)


async def refuse_with(socket: WebSocket, scope: Scope, denial: GuardResponse) -> None:
    """Answer a handshake with what the guard answered."""
    await refuse_handshake(socket, scope, denial.status, _headers(denial), denial.body)


async def _fill(response: Response, status: int, headers: Headers, body: bytes) -> None:
    if isinstance(response.stream, EventStream | FollowStream):  # a guard that changed its mind after call_next()
        await response.stream.close()
    response.stream = None
    response.status = status
    response.set_headers(list(headers))
    response.data = body


def _headers(denial: GuardResponse) -> Headers:
    return (*denial.headers, ("content-type", denial.content_type))
