"""An agent that asks first: a refund of more than 50 waits until somebody approved it."""

from typing import Annotated, Any

import msgspec
from shared.auth import authenticate
from shared.model import MODEL

from flue_actors import CallNext, GuardRequest, GuardResponse, ToolContext, ToolError, create_agent, tool


async def route(request: GuardRequest, call_next: CallNext) -> GuardResponse | None:
    principal = await authenticate(request.header("authorization"))
    if principal is None:
        return request.json({"error": "Unauthorized"}, 401)
    if request.method == "POST" and "/approvals/" in request.path and not principal.claims.get("approves"):
        return request.json({"error": "You may ask for a refund, not approve it."}, 403)

    request.principal = principal  # who decided is recorded with the decision
    await call_next()
    return None


def is_large(arguments: dict[str, Any]) -> bool:
    """True for a refund that somebody has to look at."""
    return arguments["amount"] > 50


@tool(approval=is_large)
def refund(order: str, amount: Annotated[int, msgspec.Meta(gt=0)], context: ToolContext) -> str:
    """Pay the customer back for an order, in whole euros."""
    name = f"refund of {order}"
    if name in context.state:
        raise ToolError(f"{order} was refunded before: {context.state[name]} euros.")
    context.state[name] = amount  # stored together with this call's answer; to pay, use `name` as the idempotency key
    return f"Refunded {amount} euros for {order}."


agent = create_agent(model=MODEL, instructions="Help customers to get their money back.", tools=[refund])
