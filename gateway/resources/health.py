"""``/livez`` and ``/readyz``: does the process answer, and should it be sent work?"""

from collections.abc import Callable
from typing import Literal

import msgspec
from falcon.asgi import Request, Response

from flue_actors.errors import FlueError, MethodNotAllowedError
from flue_actors.gateway.admission import Gateway
from flue_actors.gateway.asgi import Scope
from flue_actors.gateway.body import JSON
from flue_actors.gateway.resources.methods import answers_every_method
from flue_actors.gateway.resources.replies import reply_error
from flue_actors.gateway.wire import encode

Check = Callable[[Scope], object]


class Health(msgspec.Struct, frozen=True):
    """The body when all is well."""

    status: Literal["ok"] = "ok"


@answers_every_method("on_request")
class HealthResource:
    """200 if ``check`` passes, its error's envelope otherwise."""

    def __init__(self, check: Check) -> None:
        self._check = check

    async def on_request(self, request: Request, response: Response) -> None:
        """Any HTTP method."""
        try:
            if request.method not in {"GET", "HEAD"}:
                raise MethodNotAllowedError(meta={"allow": "GET, HEAD"})
            self._check(request.scope)
        except FlueError as error:
            await reply_error(response, error)
            return
        response.content_type = JSON
        response.data = encode(Health())


def livez() -> HealthResource:
    """200 while the process answers at all."""
    return HealthResource(lambda _: None)


def readyz(find_gateway: Callable[[Scope], Gateway]) -> HealthResource:
    """200 while new work is taken; 503 before the runtime has started and from the beginning of its stop."""
    return HealthResource(lambda scope: find_gateway(scope).take_in())
