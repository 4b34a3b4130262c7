"""One guarded HTTP request to an agent instance, as its handler gets it."""

import msgspec
from falcon.asgi import Request, Response

from flue_actors.definition.guards import GuardRequest
from flue_actors.gateway.admission import Gateway
from flue_actors.ids import AgentKey


class Call(msgspec.Struct, frozen=True):
    """``key`` holds the agent's canonical name, ``guarded`` what the guard said about the caller."""

    request: Request
    response: Response
    gateway: Gateway
    key: AgentKey
    guarded: GuardRequest
