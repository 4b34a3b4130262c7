"""Opening a socket whose handshake the guard let through: accept, and give it a session."""


from falcon.asgi import WebSocket

from flue_actors.agent_ref import Submitted
from flue_actors.definition.guards import GuardRequest
from flue_actors.gateway.admission import Gateway
from flue_actors.gateway.asgi import Scope
from flue_actors.gateway.falcon_channel import FalconChannel, converse
from flue_actors.gateway.handshake import accepted_subprotocol
from flue_actors.gateway.socket_channel import EXTENSION, SocketProtocol
from flue_actors.gateway.socket_protocol import AgentSocket
from flue_actors.gateway.sockets import Channel, SocketSession
from flue_actors.gateway.wire import PromptFrame
from flue_actors.ids import AgentKey


async def open_socket(
    socket: WebSocket, scope: Scope, gateway: Gateway, key: AgentKey, guarded: GuardRequest
) -> None:
    """Accept the handshake and converse: on our own server the conversation outlives this call."""
    await socket.accept(accepted_subprotocol(socket.subprotocols))
    protocol: SocketProtocol | None = scope.get("extensions", {}).get(EXTENSION)
    if protocol is not None:
        protocol.attach(_session(protocol, gateway, key, guarded))
        return
    channel = FalconChannel(socket)
    await converse(socket, channel, _session(channel, gateway, key, guarded), gateway.limits)


def _session(channel: Channel, gateway: Gateway, key: AgentKey, guarded: GuardRequest) -> SocketSession:
    principal = guarded.principal

    async def submit(frame: PromptFrame) -> Submitted:
        session = gateway.session(key.agent, key.id, frame.session)
        return await session.submit(frame.message, if_busy=frame.if_busy, principal=principal, watch=True)

    protocol = AgentSocket(key.agent, key.id, max_in_flight=gateway.limits.max_in_flight)
    session = SocketSession(
        protocol, channel, submit, expires_at=guarded.expires_at, forget=gateway.sockets.discard
    )
    gateway.sockets.add(session)
    return session
