"""A WebSocket guard: it runs on the handshake, and its refusal is an ordinary HTTP answer."""

from shared.auth import authenticate
from shared.model import MODEL

from flue_actors import CallNext, GuardRequest, GuardResponse, create_agent


async def websocket(request: GuardRequest, call_next: CallNext) -> GuardResponse | None:
    principal = await authenticate(request.header("authorization"))
    ticket_id = request.param("id")

    if principal is None:
        return request.json({"error": "Unauthorized"}, 401)
    if ticket_id not in principal.claims["tickets"]:
        return request.not_found()

    request.principal = principal
    await call_next()
    return None


agent = create_agent(model=MODEL)
