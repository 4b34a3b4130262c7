"""An agent that delegates: it answers with what its subagent found in the company's policies."""

from shared.auth import signed_in
from shared.folders import POLICIES
from shared.model import MODEL

from flue_actors import create_agent, define_agent_profile, local

policy_researcher = define_agent_profile(
    name="policy_researcher",
    description="Finds relevant policy text and quotes the supporting passages.",
    instructions="Read the policy workspace and return supporting quotations with file paths.",
)

guard = signed_in  # `local` isolates nothing: its commands may do what this server may

agent = create_agent(
    model=MODEL,
    instructions="Answer policy questions only after delegating source lookup to policy_researcher.",
    sandbox=local(POLICIES),
    subagents=[policy_researcher],
)
