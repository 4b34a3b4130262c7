"""Who may come in now, and who is connected: what all requests of one application share."""

from typing import Final

from flue_actors.agent_ref import AgentRef, SessionRef, Submitted
from flue_actors.definition.guards import Principal
from flue_actors.definition.settings import Settings
from flue_actors.errors import DrainingError, NotStartedError
from flue_actors.gateway.asgi import Scope
from flue_actors.gateway.enclosures import enclosed
from flue_actors.gateway.following import FollowStream
from flue_actors.gateway.preferences import check_idempotency_key
from flue_actors.gateway.sockets import SocketSession
from flue_actors.gateway.streams import EventStream
from flue_actors.gateway.wire import Prompting
from flue_actors.ids import TASK_PREFIX, AgentKey, check_session_name
from flue_actors.runtime import Runtime
from flue_actors.streaming import SessionStream

_KEY: Final = "flue_actors.gateway"


class Gateway:
    """A runtime as the outside meets it."""

    def __init__(self, runtime: Runtime, *, dev: bool = False) -> None:
        self.runtime = runtime
        self.dev = dev
        self.draining = False
        self.sockets: set[SocketSession] = set()
        self.streams: set[EventStream] = set()
        self.followers: set[FollowStream] = set()

    @property
    def settings(self) -> Settings:
        """The runtime's."""
        return self.runtime.settings

    def take_in(self) -> Runtime:
        """The runtime, if it takes requests.

        Raises:
            DrainingError, NotStartedError: It does not.
        """
        if self.draining or self.runtime.draining:
            raise DrainingError(retry_after=self.settings.drain_timeout)
        if not self.runtime.started:
            raise NotStartedError
        return self.runtime

    def agent(self, key: AgentKey) -> AgentRef:
        """The instance a request is for.

        Raises:
            UnknownAgentError, DrainingError, NotStartedError: It cannot be sent anything.
        """
        return self.take_in().ref(key.agent, key.id)

    def session(self, key: AgentKey, name: str) -> SessionRef:
        """The session a request is for. Errors as `agent`, and InvalidRequestError for what is no session's name."""
        check_session_name(name)
        return self.agent(key).session(name)

    def history(self, key: AgentKey, name: str) -> SessionRef:
        """A session to be read: a task's own too. Errors as `session`."""
        return self.agent(key).session(name) if name.startswith(TASK_PREFIX) else self.session(key, name)

    async def submit(
        self, key: AgentKey, sent: Prompting, *, principal: Principal | None, idempotency_key: str | None, watch: bool
    ) -> Submitted:
        """Accept a prompt, whichever way it came.

        Raises:
            InvalidRequestError: The key, or something that comes along, is impossible.
            CallerError, UnavailableError, StoreError: As `session`, and `agent_ref.SessionRef.submit`.
        """
        return await self.session(key, sent.session).submit(
            sent.message,
            watch=watch,
            if_busy=sent.if_busy,
            principal=principal,
            idempotency_key=check_idempotency_key(idempotency_key),
            **enclosed(sent),
        )

    def follow(self, key: AgentKey, session: str, offset: str | None) -> SessionStream:
        """A reader of a session's events.

        Raises:
            InvalidRequestError: The session's name or the offset is none.
            DrainingError, NotStartedError: The runtime takes no requests.
        """
        check_session_name(session)
        return self.take_in().follow(key, session, offset)

    def drain(self) -> None:
        """Refuse new work from now on; who follows a session goes on elsewhere, and idle sockets go.

        Busy sockets go with their last outcome.
        """
        self.draining = True
        for follower in list(self.followers):
            follower.end(DrainingError(retry_after=1))
        for socket in list(self.sockets):
            socket.go_away()

    def end_streams(self) -> None:
        """Tell those who still watch that the server goes."""
        for stream in list(self.streams):
            stream.end(DrainingError(retry_after=1))


def put_gateway(scope: Scope, gateway: Gateway) -> None:
    """Make the gateway known to the resources that handle this request."""
    scope[_KEY] = gateway


def gateway_of(scope: Scope) -> Gateway:
    """The gateway this request came through.

    Raises:
        NotStartedError: It came through none: the application is served without `create_app`.
    """
    gateway: Gateway | None = scope.get(_KEY)
    if gateway is None:
        raise NotStartedError
    return gateway
