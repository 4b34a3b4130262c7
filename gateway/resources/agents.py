"""``/agents/{name}/{id}...``: the one way to an agent instance, for every method and for handshakes.

Checks, in this order: the path and its method (404, 405), the server takes requests (503), name and id (400), the agent
is exposed on this transport (404), then its guard, and only then what the route does.
"""

import logging
from collections.abc import Callable

from falcon.asgi import Request, Response, WebSocket
from falcon.constants import COMBINED_METHODS

from flue_actors.errors import (
    FlueError,
    InternalError,
    InvalidRequestError,
    MethodNotAllowedError,
    RouteNotFoundError,
    UnknownAgentError,
)
from flue_actors.gateway.admission import Gateway
from flue_actors.gateway.asgi import Scope, raw_path
from flue_actors.gateway.guarding import guard_request, guarded
from flue_actors.gateway.handshake import check_origin, offered_token
from flue_actors.gateway.paths import instance_key, split_path
from flue_actors.gateway.resources.call import Call
from flue_actors.gateway.resources.opening import open_socket
from flue_actors.gateway.resources.replies import Headers, refuse, refuse_with, reply_error, reply_with
from flue_actors.gateway.resources.routes import ROUTES, Route
from flue_actors.ids import AgentKey

logger = logging.getLogger("flue_actors.gateway")


class AgentsResource:
    """Falcon's resource for everything below ``{prefix}/agents/``."""

    def __init__(self, find_gateway: Callable[[Scope], Gateway], prefix: str) -> None:
        self._find_gateway = find_gateway
        self._prefix = prefix

    async def on_request(self, request: Request, response: Response, rest: str) -> None:
        """Any HTTP method. ``rest`` is Falcon's decoded rest of the path, which is not exact and not used."""
        try:
            await self._handle(request, response)
        except MethodNotAllowedError as error:
            reply_error(response, error, headers=_allow(error))
        except FlueError as error:
            reply_error(response, error)
        except Exception:
            logger.exception("a request failed")
            reply_error(response, InternalError())

    async def on_websocket(self, request: Request, socket: WebSocket, rest: str) -> None:
        """A handshake. ``rest`` as above."""
        try:
            await self._open(request, socket)
        except FlueError as error:
            await refuse(socket, request.scope, error)
        except Exception:
            logger.exception("a handshake failed")
            await refuse(socket, request.scope, InternalError())

    async def _handle(self, request: Request, response: Response) -> None:
        path = split_path(raw_path(request.scope), self._prefix)
        route = _route(path.tail)
        handler = route.methods.get(request.method)
        if handler is None:
            raise MethodNotAllowedError(meta={"allow": route.allow})
        gateway = self._find_gateway(request.scope)
        runtime = gateway.take_in()
        key = instance_key(path)
        definition = runtime.definition(key.agent)
        if definition.route is None:
            raise UnknownAgentError
        asked = guard_request(request, definition.name, key.id)
        call = Call(request, response, gateway, definition.name, key.id, asked)
        with runtime.bind():
            denial = await guarded(definition.route, asked, lambda: handler(call))
        if denial is not None:
            reply_with(response, denial)

    async def _open(self, request: Request, socket: WebSocket) -> None:
        path = split_path(raw_path(request.scope), self._prefix)
        if not _route(path.tail).socket:
            raise RouteNotFoundError
        gateway = self._find_gateway(request.scope)
        runtime = gateway.take_in()
        try:
            key = instance_key(path)
            definition = runtime.definition(key.agent)
        except (UnknownAgentError, InvalidRequestError):
            raise RouteNotFoundError from None
        if definition.websocket is None:
            raise RouteNotFoundError
        check_origin(request.get_header("origin"), request.get_header("host"), gateway.limits.origins)
        asked = guard_request(request, definition.name, key.id, offered_token(socket.subprotocols))
        with runtime.bind():
            denial = await guarded(definition.websocket, asked, _ready_to_open)
        if denial is not None:
            await refuse_with(socket, request.scope, denial)
        else:
            await open_socket(socket, request.scope, gateway, AgentKey(definition.name, key.id), asked)


for _method in COMBINED_METHODS:
    setattr(AgentsResource, f"on_{_method.lower()}", AgentsResource.on_request)


def _route(tail: tuple[bytes, ...]) -> Route:
    route = ROUTES.get(tail)
    if route is None:
        raise RouteNotFoundError
    return route


def _allow(error: MethodNotAllowedError) -> Headers:
    return (("allow", error.meta["allow"]),) if error.meta is not None else ()


async def _ready_to_open() -> None:
    """A handshake has nothing to prepare: it is answered when the guard returns."""
