"""What an agent's model can call: the definition's tools, and the runtime's own for what the definition has."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import msgspec

from flue_actors.definition.profile import AgentProfile
from flue_actors.definition.resolving import ResolvedAgent, resolve_subagent, with_tools
from flue_actors.definition.tools import Tool
from flue_actors.skills.discovery import merge
from flue_actors.skills.skill import Skill
from flue_actors.toolset.delegating import task_tool


class Equipment:
    """Adds the runtime's own tools to definitions. One that depends on no instance is equipped once."""

    __slots__ = ("_known", "_skilled", "_subagents")

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[ResolvedAgent, ResolvedAgent] = WeakKeyDictionary()
        self._skilled: WeakKeyDictionary[ResolvedAgent, tuple[tuple[Skill, ...], ResolvedAgent]] = WeakKeyDictionary()
        self._subagents: WeakKeyDictionary[ResolvedAgent, dict[AgentProfile, ResolvedAgent]] = WeakKeyDictionary()

    def equip(self, agent: ResolvedAgent, found: tuple[Skill, ...] = ()) -> ResolvedAgent:
        """The agent with everything its model can call.

        Args:
            found: Skills of its workspace. What is frozen of a session depends on the definition, and not on these.

        Raises:
            ConfigError: Two tools of one name, or two skills.
        """
        if agent.sandbox is None and not agent.subagents and not agent.skills:
            return agent
        equipped = self._known.get(agent)
        if equipped is None:
            equipped = self._known[agent] = _equipped(agent)
        if not found:
            return equipped
        before, skilled = self._skilled.get(agent, ((), equipped))
        if before != found:  # most instances of an agent find the same: 0.2 ms less for each message
            skilled = _as_frozen(_equipped(msgspec.structs.replace(agent, skills=merge(agent.skills, found))), equipped)
            self._skilled[agent] = found, skilled
        return skilled

    def subagent(self, profile: AgentProfile, parent: ResolvedAgent) -> ResolvedAgent:
        """A subagent's configuration below this parent, not equipped yet; made once (0.1 ms).

        Raises:
            ConfigError: The profile says nothing that works below this parent.
        """
        known = self._subagents.setdefault(parent, {})
        agent = known.get(profile)
        if agent is None:
            agent = known[profile] = resolve_subagent(profile, parent)
        return agent


def extended(agent: ResolvedAgent, tools: Sequence[Tool]) -> ResolvedAgent:
    """The agent with more tools for one input: what is frozen of the session stays as it is without them.

    Raises:
        ConfigError: Two of one name.
    """
    return _as_frozen(with_tools(agent, (*agent.tools, *tools)), agent)


def _as_frozen(agent: ResolvedAgent, known: ResolvedAgent) -> ResolvedAgent:
    """The agent as a session takes it, in which the other one was frozen."""
    return msgspec.structs.replace(agent, setup_id=known.setup_id, fingerprint=known.fingerprint)


def _equipped(agent: ResolvedAgent) -> ResolvedAgent:
    tools = list(agent.tools)
    if agent.sandbox is not None:
        from flue_actors.toolset.sandbox_tools import SANDBOX_TOOLS

        tools.extend(getattr(agent.sandbox, "tools", None) or SANDBOX_TOOLS)
    if agent.subagents:
        tools.append(task_tool(agent.subagents))
    if agent.skills:
        from flue_actors.toolset.skill_reading import skill_tools

        tools.extend(skill_tools(agent.skills))
    return with_tools(agent, tools)
