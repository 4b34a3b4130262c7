"""Opening a socket whose handshake the guard let through: accept, and give it a session."""

import msgspec
from falcon.asgi import WebSocket

from flue_actors.agent_ref import Submitted
from flue_actors.definition.guards import GuardRequest
from flue_actors.gateway.admission import Gateway
from flue_actors.gateway.asgi import Scope
from flue_actors.gateway.falcon_channel import FalconChannel, converse
from flue_actors.gateway.handshake import accepted_subprotocol
from flue_actors.gateway.preferences import check_idempotency_key
from flue_actors.gateway.socket_channel import EXTENSION, SocketProtocol
from flue_actors.gateway.socket_protocol import AgentSocket
from flue_actors.gateway.sockets import Channel, SocketSession
from flue_actors.gateway.wire import PromptFrame, StreamFrame
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
    gateway, key, principal = opening.gateway, opening.key, opening.guarded.principal

    async def submit(frame: PromptFrame) -> Submitted:
        return await gateway.session(key, frame.session).submit(
            frame.message,
            if_busy=frame.if_busy,
            principal=principal,
            idempotency_key=check_idempotency_key(frame.idempotency_key),
            watch=True,
        )

    async def abort(submission_id: str, reason: str) -> bool:
        ref = gateway.runtime.ref(key.agent, key.id)  # also while the server drains: it is done the sooner
        return await ref.abort_submission(submission_id, reason=reason)

    def follow(frame: StreamFrame) -> SessionStream:
        return gateway.follow(key, frame.session, frame.offset)

    protocol = AgentSocket(key.agent, key.id, max_in_flight=gateway.settings.max_in_flight, dev=gateway.dev)
    session = SocketSession(
        protocol, channel, submit, abort, follow, expires_at=opening.guarded.expires_at, forget=gateway.sockets.discard
    )
    gateway.sockets.add(session)
    return session
