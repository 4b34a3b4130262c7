"""Between Falcon and an agent's guard: the request as guards see it, and what becomes of their answer."""

from collections.abc import Awaitable, Callable

from falcon.asgi import Request

from flue_actors.definition.guards import Guard, GuardRequest, GuardResponse, run_guard


def guard_request(request: Request, name: str, id: str, token: str | None = None) -> GuardRequest:
    """The request as the guard sees it; ``token`` stands in for a missing authorization header."""
    headers = {key.lower(): value for key, value in request.headers.items()}
    if token is not None:
        headers.setdefault("authorization", f"Bearer {token}")
    return GuardRequest(
        method=request.method,
        path=request.path,
        params={"name": name, "id": id},
        headers=headers,
        query=request.query_string,
    )


async def guarded(
    guard: Guard, request: GuardRequest, call_next: Callable[[], Awaitable[None]]
) -> GuardResponse | None:
    """Run the guard around ``call_next``; its own response, or None if it let the request through."""
    return await run_guard(guard, request, call_next)
