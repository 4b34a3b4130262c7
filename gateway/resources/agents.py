"""``/agents/{name}/{id}...``: the one way to an agent instance, for every method and for handshakes.

Checks, in this order: the path and its method (404, 405), the server takes requests (503), name and id (400), the agent
is exposed on this transport (404), then its guard, and only then what the route does.
"""

import asyncio
import logging
from collections.abc import Callable

from falcon.asgi import Request, Response, WebSocket

from flue_actors.definition.guards import run_guard
from flue_actors.errors import (
    DrainingError,
    FlueError,
    InternalError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotStartedError,
    RouteNotFoundError,
    UnknownAgentError,
)
from flue_actors.gateway.admission import Gateway
from flue_actors.gateway.asgi import Scope, raw_path
from flue_actors.gateway.guarding import guard_request
from flue_actors.gateway.handshake import check_origin, offered_token
from flue_actors.gateway.paths import instance_key, split_path
from flue_actors.gateway.resources.call import Call
from flue_actors.gateway.resources.methods import answers_every_method
from flue_actors.gateway.resources.opening import Opening, open_socket
from flue_actors.gateway.resources.replies import refuse, refuse_with, reply_error, reply_with
from flue_actors.gateway.resources.routes import find_route
from flue_actors.ids import AgentKey

logger = logging.getLogger("flue_actors.gateway")


@answers_every_method("on_request")
class AgentsResource:
    """Falcon's resource for everything below ``{prefix}/agents/``."""

    def __init__(self, find_gateway: Callable[[Scope], Gateway], prefix: str) -> None:
        self._find_gateway = find_gateway
        self._prefix = prefix

    async def on_request(self, request: Request, response: Response, rest: str) -> None:
        """Any HTTP method. ``rest`` is Falcon's decoded rest of the path, which is not exact and not used."""
        try:
            await self._handle(request, response)
        except FlueError as error:
            await reply_error(response, error, dev=self._dev(request))
        except asyncio.CancelledError:
            gateway = self._find_gateway(request.scope)
            if not gateway.draining:
                raise
            # The server has waited as long as it may; an accepted input goes on in its runtime.
            await reply_error(response, DrainingError(), dev=gateway.dev)
        except Exception as error:
            logger.exception("a request failed")
            await reply_error(response, InternalError(dev=repr(error)), dev=self._dev(request))

    async def on_websocket(self, request: Request, socket: WebSocket, rest: str) -> None:
        """A handshake. ``rest`` as above."""
        try:
            opening = await self._guard_handshake(request, socket)
        except FlueError as error:
            await refuse(socket, request.scope, error, dev=self._dev(request))
        except Exception as error:
            logger.exception("a handshake failed")
            await refuse(socket, request.scope, InternalError(dev=repr(error)), dev=self._dev(request))
        else:
            if opening is not None:
                await open_socket(socket, request.scope, opening)

    async def _handle(self, request: Request, response: Response) -> None:
        path = split_path(raw_path(request.scope), self._prefix)
        route, parameter = find_route(path.tail)
        handler = route.methods.get(request.method)
        if _is_preflight(request):
            response.status = 204
            response.set_header("allow", route.allow)
            return
        if handler is None:
            raise MethodNotAllowedError(meta={"allow": route.allow})
        gateway = self._find_gateway(request.scope)
        runtime = gateway.take_in()
        spelled = instance_key(path)
        definition = runtime.definition(spelled.agent)
        key = AgentKey(definition.name, spelled.id)
        if definition.route is None:
            raise UnknownAgentError
        asked = guard_request(request, key)
        call = Call(request, response, gateway, key, self._prefix, parameter, asked)
        with runtime.bind():
            denial = await run_guard(definition.route, asked, lambda: handler(call))
        if denial is not None:
            await reply_with(response, denial)

    async def _guard_handshake(self, request: Request, socket: WebSocket) -> Opening | None:
        path = split_path(raw_path(request.scope), self._prefix)
        if not find_route(path.tail)[0].socket:
            raise RouteNotFoundError
        gateway = self._find_gateway(request.scope)
        runtime = gateway.take_in()
        try:
            spelled = instance_key(path)
            definition = runtime.definition(spelled.agent)
        except (UnknownAgentError, InvalidRequestError):
            raise RouteNotFoundError from None
        if definition.websocket is None:
            raise RouteNotFoundError
        key = AgentKey(definition.name, spelled.id)
        check_origin(request.get_header("origin"), request.get_header("host"), gateway.settings.allowed_origins)
        asked = guard_request(request, key, offered_token(socket.subprotocols))
        with runtime.bind():
            denial = await run_guard(definition.websocket, asked, _ready_to_open)
        if denial is not None:
            await refuse_with(socket, request.scope, denial)
            return None
        return Opening(gateway, key, asked)

    def _dev(self, request: Request) -> bool:
        try:
            return self._find_gateway(request.scope).dev
        except NotStartedError:
            return False


def _is_preflight(request: Request) -> bool:
    """A browser asks whether a page may call; the host application's CORS middleware says so, if it has one.

    It comes without credentials, so no guard can be asked, and its answer holds nothing but the route table.
    """
    return request.method == "OPTIONS" and request.get_header("access-control-request-method") is not None


async def _ready_to_open() -> None:
    """A handshake has nothing to prepare: it is answered when the guard returns."""
