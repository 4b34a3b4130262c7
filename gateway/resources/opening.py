"""Opening a socket whose handshake the guard let through: accept, and give it a session."""

import msgspec
from falcon.asgi import WebSocket

from flue_actors.agent_ref import ApprovalInfo, Submitted
from flue_actors.definition.guards import GuardRequest
from flue_actors.gateway.admission import Gateway
from flue_actors.gateway.asgi import Scope
from flue_actors.gateway.falcon_channel import FalconChannel, converse
from flue_actors.gateway.handshake import accepted_subprotocol
from flue_actors.gateway.socket_channel import EXTENSION, SocketProtocol
from flue_actors.gateway.socket_protocol import AgentSocket
from flue_actors.gateway.sockets import Channel, SocketSession
from flue_actors.gateway.wire import VERDICTS, DecideFrame, PromptFrame, StreamFrame
from flue_actors.ids import AgentKey
from flue_actors.streaming import SessionStream


class Opening(msgspec.Struct, frozen=True):
    """A handshake the guard let through. ``key`` holds the agent's canonical name."""

    gateway: Gateway
    key: AgentKey
    guarded: GuardRequest


async def open_socket(socket: WebSocket, scope: Scope, opening: Opening) -> None:
    """Accept the handshake and converse: on our own server the conversation outlives this call."""
    await socket.accept(accepted_subprotocol(socket.subprotocols))
    protocol: SocketProtocol | None = scope.get("extensions", {}).get(EXTENSION)
    if protocol is not None:
        protocol.attach(_session(protocol, opening))
        return
    channel = FalconChannel(socket)
    await converse(socket, channel, _session(channel, opening), opening.gateway.settings)


def _session(channel: Channel, opening: Opening) -> SocketSession:
    gateway, key = opening.gateway, opening.key
    protocol = AgentSocket(key.agent, key.id, max_in_flight=gateway.settings.max_in_flight, dev=gateway.dev)
    session = SocketSession(
        protocol, channel, _Guarded(opening), expires_at=opening.guarded.expires_at, forget=gateway.sockets.discard
    )
    gateway.sockets.add(session)
    return session


class _Guarded:
    """The instance, as the client that the guard let in may use it: `sockets.Instance`."""

    __slots__ = ("_gateway", "_key", "_principal")

    def __init__(self, opening: Opening) -> None:
        self._gateway = opening.gateway
        self._key = opening.key
        self._principal = opening.guarded.principal

    async def submit(self, frame: PromptFrame) -> Submitted:
        """Admit a prompt."""
        key = frame.idempotency_key
        return await self._gateway.submit(self._key, frame, principal=self._principal, idempotency_key=key, watch=True)

    async def abort(self, submission_id: str, reason: str) -> bool:
        """Abort a submission; also while the server drains: it is done the sooner."""
        ref = self._gateway.runtime.ref(self._key.agent, self._key.id)
        return await ref.abort_submission(submission_id, reason=reason)

    async def decide(self, frame: DecideFrame) -> None:
        """Record a decision."""
        verdict = VERDICTS[frame.decision]
        agent = self._gateway.agent(self._key)
        await agent.decide(frame.approval_id, verdict, principal=self._principal, reason=frame.reason)

    async def approvals(self) -> list[ApprovalInfo]:
        """Calls that wait for one."""
        return await self._gateway.agent(self._key).approvals()

    def follow(self, frame: StreamFrame) -> SessionStream:
        """Open a stream."""
        return self._gateway.follow(self._key, frame.session, frame.offset)
