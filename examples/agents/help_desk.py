"""An agent made from a profile: the profile is shared, the agent adds what is its own."""

from shared.model import MODEL
from shared.support_tools import support_tools

from flue_actors import create_agent, define_agent_profile, public

support = define_agent_profile(
    model=MODEL,
    instructions="Answer customer support questions clearly and accurately.",
    tools=support_tools,
)

route = public

agent = create_agent(profile=support)
