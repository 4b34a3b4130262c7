"""``/livez`` and ``/readyz``: does the process answer, and should it be sent work?"""

from collections.abc import Callable
from typing import Literal

import msgspec
from falcon.asgi import Request, Response

from flue_actors.errors import FlueError
from flue_actors.gateway.admission import Gateway
from flue_actors.gateway.asgi import Scope
from flue_actors.gateway.body import JSON
from flue_actors.gateway.resources.replies import reply_error
from flue_actors.gateway.wire import encode


class Health(msgspec.Struct, frozen=True):
    """The body of both answers."""

    status: Literal["ok"] = "ok"


class Livez:
    """200 while the process answers at all."""

    async def on_get(self, request: Request, response: Response) -> None:
        """GET /livez"""
        _reply_ok(response)


class Readyz:
    """200 while new work is taken; 503 before the runtime has started and from the beginning of its stop."""

    def __init__(self, find_gateway: Callable[[Scope], Gateway]) -> None:
        self._find_gateway = find_gateway

    async def on_get(self, request: Request, response: Response) -> None:
        """GET /readyz"""
        try:
            self._find_gateway(request.scope).take_in()
        except FlueError as error:
            reply_error(response, error)
        else:
            _reply_ok(response)


def _reply_ok(response: Response) -> None:
    response.content_type = JSON
    response.data = encode(Health())
