"""An agent with files of its own: a shell without a machine, whose files are stored with the conversation.

Needs the extra: pip install "flue-actors[virtual]". The sandbox is named in a function, so without it only this agent says so.
"""

from shared.model import MODEL

from flue_actors import AgentConfig, Limits, create_agent, public, virtual

SALES = "month,region,amount\n2026-01,north,1200\n2026-01,south,800\n2026-02,north,1500\n2026-02,south,700\n"

guard = public


@create_agent
def agent() -> AgentConfig:
    return AgentConfig(
        model=MODEL,
        instructions="Answer questions about data/sales.csv. Compute with awk or jq, and keep what you find in notes.md.",
        sandbox=virtual({"data/sales.csv": SALES}),
        limits=Limits(turns=20, seconds=300),
    )
