"""Which agents a runtime has: by name, by alias, by value."""

from collections.abc import Mapping
from typing import Any, cast

from flue_actors.definition.agent import CreatedAgent
from flue_actors.definition.project import AgentDefinition
from flue_actors.errors import ConfigError, UnknownAgentError


class Roster:
    """The definitions in use. Immutable: new definitions are a new roster."""

    __slots__ = ("_definitions", "_names")

    def __init__(self, agents: Mapping[str, CreatedAgent | AgentDefinition]) -> None:
        """Raises ConfigError when a name or alias is used twice, or something else than agents by name was given."""
        _check(agents)
        self._definitions: dict[str, AgentDefinition] = {}
        self._names: dict[str, str] = {}  # every name and alias -> canonical name
        for name, value in agents.items():
            definition = _definition(name, value)
            self._definitions[definition.name] = definition
            for each in (definition.name, *definition.aliases):
                if each in self._names:
                    raise ConfigError(f'Two agents are called "{each}".')
                self._names[each] = definition.name

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names, sorted."""
        return tuple(sorted(self._definitions))

    @property
    def aliases(self) -> tuple[tuple[str, str], ...]:
        """Earlier names and the names they stand for."""
        return tuple([(alias, each.name) for each in self._definitions.values() for alias in each.aliases])

    def __contains__(self, name: str) -> bool:
        """True for a canonical name."""
        return name in self._definitions

    def find(self, agent: CreatedAgent | str) -> AgentDefinition:
        """By name, alias or value.

        Raises:
            UnknownAgentError: There is no such agent.
        """
        if isinstance(agent, str):
            name = self._names.get(agent)
            if name is None:
                raise UnknownAgentError
            return self._definitions[name]
        for definition in self._definitions.values():
            if definition.agent is agent:
                return definition
        raise UnknownAgentError("This agent is not defined in this runtime.")


def _check(agents: Any) -> None:
    if not isinstance(agents, Mapping):
        raise ConfigError('"agents" is a mapping of names to agents.', details='Write agents={"name": agent}.')
    for name, value in cast("Mapping[Any, Any]", agents).items():
        if not isinstance(name, str):
            raise ConfigError(f"The agent's name {name!r} is {type(name).__name__}, not text.")
        if not isinstance(value, CreatedAgent | AgentDefinition):
            raise ConfigError(f'Agent "{name}" is {type(value).__name__}.', details="Make it with create_agent(...).")


def _definition(name: str, value: CreatedAgent | AgentDefinition) -> AgentDefinition:
    if isinstance(value, AgentDefinition):
        return value
    return AgentDefinition(name=value.name or name, agent=value, aliases=value.aliases)
