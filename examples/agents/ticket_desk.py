"""An HTTP guard: 401 without a valid token, 404 for a ticket that is not the caller's."""

from shared.auth import authenticate
from shared.model import MODEL

from flue_actors import AgentConfig, AgentContext, CallNext, GuardRequest, GuardResponse, create_agent


async def route(request: GuardRequest, call_next: CallNext) -> GuardResponse | None:
    principal = await authenticate(request.header("authorization"))
    ticket_id = request.param("id")

    if principal is None:
        return request.json({"error": "Unauthorized"}, 401)
    if ticket_id not in principal.claims["tickets"]:
        return request.not_found()

    request.principal = principal
    await call_next()
    return None


@create_agent
def agent(ctx: AgentContext) -> AgentConfig:
    return AgentConfig(model=MODEL, instructions=f"Help with authorized support ticket {ctx.id}.")
