"""Reusable behaviour without an address: what agents share, and what subagents are."""

from collections.abc import Mapping
from typing import Any, Final

from flue_actors.definition.fields import PROFILE_FIELDS, Check, checked, distinct_profiles
from flue_actors.errors import ConfigError


class AgentProfile:
    """Reusable behaviour without an address of its own. Made by `define_agent_profile`; validated when made."""

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields: Final = checked(fields, PROFILE_CHECKS, "a profile")

    @property
    def name(self) -> str | None:
        """What a parent calls it, if it is made to be a subagent."""
        return self.fields.get("name")

    @property
    def description(self) -> str:
        """What it is for, as a parent's model reads it."""
        return self.fields.get("description") or ""

    @property
    def subagents(self) -> "tuple[AgentProfile, ...]":
        """Those it may delegate to in turn."""
        return self.fields.get("subagents") or ()


def check_subagents(name: str, value: Any) -> None:
    distinct_profiles(name, value, AgentProfile)
    for place, each in enumerate(value):
        if each.name is None:
            raise ConfigError(f'"{name}"[{place}] has no name.', details="A subagent's profile needs one: name=...")
        if not each.description:
            raise ConfigError(
                f'Subagent "{each.name}" has no description.', details="The model that delegates to it reads it."
            )


PROFILE_CHECKS: Final[Mapping[str, Check]] = {"subagents": check_subagents, **PROFILE_FIELDS}
