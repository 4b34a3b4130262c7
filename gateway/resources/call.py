"""One guarded HTTP request to an agent instance, as its handler gets it."""

import msgspec
from falcon.asgi import Request, Response

from flue_actors.definition.guards import GuardRequest
from flue_actors.gateway.admission import Gateway


class Call(msgspec.Struct, frozen=True):
    """``agent`` is the canonical name; ``guarded`` holds what the guard said about the caller."""

    request: Request
    response: Response
    gateway: Gateway
    agent: str
    id: str
    guarded: GuardRequest
