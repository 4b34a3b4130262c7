"""An agent with everything: a folder of this machine to work in, a skill, and tools of its own."""

from shared.auth import signed_in
from shared.folders import REPOSITORIES
from shared.model import MODEL
from shared.repository_tools import repository_tools

from flue_actors import create_agent, load_skill, local

guard = signed_in  # `local` isolates nothing: its commands may do what this server may

agent = create_agent(
    model=MODEL,
    instructions="Review the requested change and report only findings supported by evidence.",
    cwd="catalog_service",
    tools=repository_tools,
    skills=[load_skill("../skills/review-checklist")],
    sandbox=local(REPOSITORIES),
)
