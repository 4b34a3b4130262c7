"""Writing errors into Falcon responses and refused handshakes."""

from falcon.asgi import Response, WebSocket

from flue_actors.definition.guards import GuardResponse
from flue_actors.gateway.asgi import Scope, refuse_handshake
from flue_actors.gateway.body import JSON
from flue_actors.gateway.errors import answer

Headers = tuple[tuple[str, str], ...]


def reply_error(response: Response, error: Exception, *, dev: bool = False, headers: Headers = ()) -> None:
    """Make ``response`` the error's envelope."""
    reply = answer(error, dev=dev, headers=headers)
    response.status = reply.status
    response.set_headers(list(reply.headers))
    response.content_type = JSON
    response.data = reply.body
    response.stream = None


async def refuse(socket: WebSocket, scope: Scope, error: Exception, *, dev: bool = False) -> None:
    """Answer a handshake with the error's envelope."""
    reply = answer(error, dev=dev)
    headers = (*reply.headers, ("content-type", JSON))
    await refuse_handshake(socket, scope, reply.status, headers, reply.body)


def reply_with(response: Response, denial: GuardResponse) -> None:
    """Make ``response`` what the guard answered."""
    response.status = denial.status
    response.content_type = JSON
    response.data = denial.body
    response.stream = None


async def refuse_with(socket: WebSocket, scope: Scope, denial: GuardResponse) -> None:
    """Answer a handshake with what the guard answered."""
    await refuse_handshake(socket, scope, denial.status, (("content-type", JSON),), denial.body)
