"""What users write, as a strict type checker has to accept it; what it has to refuse is marked. Never run."""

from collections.abc import Sequence
from typing import Any, assert_type

import msgspec

from flue_actors import (
    AgentConfig,
    AgentContext,
    AgentProfile,
    CallNext,
    Denied,
    GuardRequest,
    GuardResponse,
    Principal,
    Settings,
    Tool,
    ToolContext,
    bearer,
    create_agent,
    define_agent_profile,
    define_tool,
    public,
    tool,
)
from flue_actors.definition.agent import CreatedAgent
from flue_actors.definition.guards import Guard


class Order(msgspec.Struct):
    number: int


@tool
def find_orders(customer: str, limit: int = 10) -> list[Order]:
    """Find orders."""
    return [Order(len(customer))][:limit]


@tool(name="who-am-i", timeout=3)
async def who_am_i(ctx: ToolContext) -> str:
    """Say who is asking."""
    ctx.log.info("asked", by=ctx.tool_call_id)
    return ctx.principal.subject if ctx.principal is not None and not ctx.cancelled else ""


async def run_query(arguments: dict[str, Any]) -> str:
    return str(arguments)


query = define_tool(name="query", description="Run.", parameters={"type": "object"}, execute=run_query)

assert_type(find_orders, Tool)
assert_type(who_am_i, Tool)
assert_type(query, Tool)
tools: Sequence[Tool] = [find_orders, who_am_i, query]

support = define_agent_profile(model="scripted/echo", instructions="Help.", tools=tools, thinking_level="low")
assert_type(support, AgentProfile)

plain = create_agent(model="scripted/echo", instructions="Echo.", tools=[find_orders], max_turns=3)
from_profile = create_agent(profile=support, instructions=None)
renamed = create_agent(model="scripted/echo", name="new", aliases=["old"])
from_lambda = create_agent(lambda ctx: AgentConfig(model="scripted/echo", instructions=ctx.id))
from_short_lambda = create_agent(lambda: AgentConfig(model="scripted/echo"))


@create_agent
def decorated(ctx: AgentContext) -> AgentConfig:
    return AgentConfig(model=ctx.env["MODEL"], instructions=f"Help {ctx.id}.", tools=[], concurrency="session")


@create_agent(name="other")
async def decorated_with_options(ctx: AgentContext) -> AgentConfig:
    return AgentConfig(profile=support, description=None)


for each in (plain, from_profile, renamed, from_lambda, from_short_lambda, decorated, decorated_with_options):
    assert_type(each, CreatedAgent)


async def route(request: GuardRequest, call_next: CallNext) -> GuardResponse | None:
    if request.header("authorization") is None:
        raise Denied(401)
    if request.param("id") != request.query("user"):
        return request.not_found()
    request.principal = Principal("ada", tenant="acme", claims={"role": "admin"})
    await call_next()
    return None


def refuse(request: GuardRequest, call_next: CallNext) -> GuardResponse:
    return request.json({"error": "closed"}, 503)


async def verify(token: str) -> Principal | None:
    return Principal("ada") if token else None


guards: list[Guard] = [route, refuse, public, bearer("t"), bearer({"t": "ada"}), bearer(verify)]
settings = Settings(max_queued=10, tool_timeout=3)


def refused() -> None:
    """Every line here is an error to the checker; one that no longer is fails the check too."""
    create_agent(modle="scripted/echo")  # pyright: ignore[reportCallIssue]  # no such field
    AgentConfig(modle="scripted/echo")  # pyright: ignore[reportArgumentType]  # no such field
    AgentConfig(model="scripted/echo", thinking_level="huge")  # pyright: ignore[reportArgumentType]  # no such level
    define_agent_profile(profile=support)  # pyright: ignore[reportCallIssue]  # a profile has no profile
    define_tool(name="x", description="x", parameters={}, execute=run_query, approval=1)  # pyright: ignore[reportArgumentType]  # no flag
    create_agent(lambda ctx: {"model": ctx.id})  # pyright: ignore[reportArgumentType]  # no config
    bearer(3)  # pyright: ignore[reportArgumentType]  # no tokens
