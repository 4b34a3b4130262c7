"""thin, replaced soon"""
from typing import Any
import msgspec
from flue_actors.definition.guards import Principal
class Durability(msgspec.Struct, frozen=True):
    attempts: int = 10
    timeout: float = 3600
class ResolvedAgent(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    instructions: str = ""
    tools: tuple[Any, ...] = ()
    tool_specs: tuple[Any, ...] = ()
    thinking_level: str = "medium"
    concurrency: str = "instance"
    public_events: str = "public"
    version: str | None = None
    durability: Durability = Durability()
    tool_timeout: float | None = None
    max_turns: int | None = None
    max_queued: int | None = None
    fingerprint: str = "x"
class AgentContext(msgspec.Struct, frozen=True, kw_only=True):
    agent: str
    id: str
    env: Any
    principal: Principal | None = None
class CreatedAgent:
    def __init__(self, **kw): self._r = ResolvedAgent(**kw); self.name=None; self.aliases=()
    async def resolve(self, ctx): return self._r
def create_agent(**kw): return CreatedAgent(**kw)
