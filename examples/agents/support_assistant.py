"""An agent whose tools belong to its id: the instance `ticket-8472` can touch ticket-8472 and no other."""

from shared.model import MODEL
from shared.support_tickets import ticket_tools

from flue_actors import AgentConfig, AgentContext, create_agent, public

route = public


@create_agent
def agent(ctx: AgentContext) -> AgentConfig:
    return AgentConfig(
        model=MODEL,
        instructions="Help the customer understand and resolve their support ticket.",
        tools=ticket_tools(ctx.id),
    )
