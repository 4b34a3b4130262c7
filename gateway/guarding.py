"""The request as an agent's guard sees it."""

from falcon.asgi import Request

from flue_actors.definition.guards import GuardRequest
from flue_actors.gateway.asgi import raw_path
from flue_actors.ids import AgentKey


def guard_request(request: Request, key: AgentKey, token: str | None = None) -> GuardRequest:
    """What the guard is asked about; ``token`` stands in for a missing authorization header."""
    headers = dict(request.headers_lower)
    if token is not None:
        headers.setdefault("authorization", f"Bearer {token}")
    client = request.scope.get("client")
    return GuardRequest(
        method=request.method,
        path=raw_path(request.scope).decode("latin-1"),
        params={"name": key.agent, "id": key.id},
        headers=headers,
        query=request.query_string,
        transport="websocket" if request.is_websocket else "http",
        client=client[0] if client else None,
    )
