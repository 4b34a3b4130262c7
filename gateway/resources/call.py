"""One guarded HTTP request to an agent instance, as its handler gets it."""

import msgspec
from falcon.asgi import Request, Response

from flue_actors.agent_ref import AgentRef, SessionRef
from flue_actors.definition.guards import GuardRequest
from flue_actors.gateway.admission import Gateway
from flue_actors.gateway.asgi import Receive, receive_of
from flue_actors.gateway.body import JSON, read_body
from flue_actors.gateway.paths import decode_segment, public_path
from flue_actors.gateway.wire import encode
from flue_actors.ids import AgentKey


class Call(msgspec.Struct, frozen=True):
    """What a handler needs to know.

    Attributes:
        key: The agent's canonical name and the instance's id.
        prefix: Below which path the agents are mounted.
        segment: The path's last segment as it was sent, where the route has a parameter there; else ``b""``.
        guarded: What the guard said about the caller.
    """

    request: Request
    response: Response
    gateway: Gateway
    key: AgentKey
    prefix: str
    segment: bytes
    guarded: GuardRequest

    @property
    def path(self) -> str:
        """The instance's own path, as a client writes it."""
        return public_path(self.request.scope.get("root_path", ""), self.prefix, self.key)

    @property
    def parameter(self) -> str:
        """The route's parameter.

        Raises:
            InvalidRequestError: It is not percent-encoded UTF-8.
        """
        return decode_segment(self.segment)

    @property
    def agent(self) -> AgentRef:
        """The instance.

        Raises:
            DrainingError, NotStartedError: It takes no requests any more.
        """
        return self.gateway.agent(self.key)

    def session(self, name: str) -> SessionRef:
        """One of its conversations. Errors as `Gateway.session`."""
        return self.gateway.session(self.key, name)

    async def body(self, receive: Receive | None = None) -> bytes:
        """The request's whole body. Errors as `read_body`."""
        request = self.request
        return await read_body(
            receive if receive is not None else receive_of(request),
            request.get_header("content-length"),
            request.content_type,
            self.gateway.settings.max_body,
        )

    def answer(self, body: msgspec.Struct, status: int = 200) -> None:
        """Answer with this as JSON."""
        self.response.status = status
        self.response.content_type = JSON
        self.response.data = encode(body)
