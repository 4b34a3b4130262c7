"""A definition's fields, merged and with defaults: what one input is worked on with. Pure.

Rules of merging and validation are Flue's: a field that is present replaces the profile's (None clears it), tools, skills
and subagents append behind the profile's, and the result is validated as a whole.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from flue_actors.definition.fields import APPENDED, Concurrency, Durability, Model, PublicEvents
from flue_actors.definition.limits import Compaction, Limits
from flue_actors.definition.profile import AgentProfile
from flue_actors.definition.tools import Tool
from flue_actors.errors import ConfigError
from flue_actors.models.protocol import ThinkingLevel, ToolSpec
from flue_actors.sandboxes.protocol import SandboxFactory
from flue_actors.skills.skill import Skill


class ResolvedAgent(msgspec.Struct, frozen=True, kw_only=True, eq=False, weakref=True):
    """One submission's configuration: profile and config merged, validated, with defaults.

    Attributes:
        model: ``"provider/model"`` or a client object.
        tools: Sorted by name, so that equal sets are equal bytes for the provider's cache.
        sandbox: Where its shell and files are; None: it has none.
        subagents: By name.
        fingerprint: Hash of model, instructions and tool specs.
        instructions_id: Hash of the instructions alone.
        setup_id: Hash of model and tool specs.
        shared: It depends on no instance: every instance has the same instructions.
    """

    model: Model
    instructions: str
    tools: tuple[Tool, ...]
    tool_specs: tuple[ToolSpec, ...]
    fingerprint: str
    instructions_id: str
    setup_id: str
    shared: bool = False
    skills: tuple[Skill, ...] = ()
    subagents: tuple[AgentProfile, ...] = ()
    sandbox: SandboxFactory | None = None
    cwd: str | None = None
    limits: Limits = Limits()
    compaction: Compaction = Compaction()
    name: str | None = None
    description: str | None = None
    thinking_level: ThinkingLevel = "medium"
    durability: Durability = Durability()
    concurrency: Concurrency = "instance"
    public_events: PublicEvents = "public"
    version: str | None = None
    tool_timeout: float | None = None
    max_turns: int | None = None
    max_queued: int | None = None
    debounce: float | None = None


def merge(profile: AgentProfile, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The profile's fields with ``fields`` on top: present ones replace; tools, skills and subagents append."""
    merged = {**profile.fields, **fields}
    for name in APPENDED:
        if name in profile.fields and fields.get(name) is not None:
            merged[name] = (*(profile.fields[name] or ()), *fields[name])
    return merged


def resolve(given: Mapping[str, Any]) -> ResolvedAgent:
    """Merge the fields of an agent with those of its ``profile``, validate them as a whole, and fill in defaults.

    Raises:
        ConfigError: No model, or two tools, skills or subagents of one name.
    """
    fields = dict(given)
    profile = fields.pop("profile", None)
    return _resolved(merge(profile, fields) if profile is not None else fields)


def resolve_subagent(profile: AgentProfile, parent: ResolvedAgent) -> ResolvedAgent:
    """A subagent's configuration: what its profile says, on its parent's model, thinking level and sandbox.

    Raises:
        ConfigError: As `resolve`.
    """
    inherited = {"model": parent.model, "thinking_level": parent.thinking_level}
    agent = _resolved({**inherited, **{name: value for name, value in profile.fields.items() if value is not None}})
    return msgspec.structs.replace(
        agent,
        shared=parent.shared,
        sandbox=parent.sandbox,
        cwd=parent.cwd,
        public_events=parent.public_events,
        tool_timeout=agent.tool_timeout or parent.tool_timeout,
    )


def _resolved(fields: Mapping[str, Any]) -> ResolvedAgent:
    chosen = {name: value for name, value in fields.items() if value is not None}
    model = chosen.pop("model", None)
    if model is None:
        raise ConfigError("The agent has no model.", details='Give it one: model="provider/model".')
    for name in ("skills", "subagents"):
        chosen[name] = _each_once(name[:-1], chosen.get(name, ()))
    if chosen.get("sandbox") is False:
        del chosen["sandbox"]
    if chosen.get("compaction") is False:
        chosen["compaction"] = Compaction(automatic=False)
    if "cwd" in chosen and "sandbox" not in chosen:
        raise ConfigError("The agent has a cwd and no sandbox.", details="cwd is a folder within the sandbox.")
    agent = ResolvedAgent(
        model=model,
        instructions=chosen.pop("instructions", ""),
        tools=(),
        tool_specs=(),
        fingerprint="",
        instructions_id="",
        setup_id="",
        **{name: value for name, value in chosen.items() if name != "tools"},
    )
    return with_tools(agent, chosen.get("tools", ()))


def with_tools(agent: ResolvedAgent, tools: Sequence[Tool]) -> ResolvedAgent:
    """The agent with exactly these tools.

    Raises:
        ConfigError: Two of one name.
    """
    tools = _each_once("tool", tools)
    specs = tuple([tool.spec for tool in tools])
    model = agent.model
    setup_id = _digest(model if isinstance(model, str) else type(model).__qualname__, specs)
    instructions_id = _digest(agent.instructions)
    return msgspec.structs.replace(
        agent,
        tools=tools,
        tool_specs=specs,
        fingerprint=_digest(setup_id, instructions_id),
        instructions_id=instructions_id,
        setup_id=setup_id,
    )


N = TypeVar("N", bound="Named")


class Named(Protocol):
    """Tools, skills and subagents."""

    @property
    def name(self) -> str | None:
        """Unique among its kind in one agent."""
        ...


def _each_once(what: str, given: Sequence[N]) -> tuple[N, ...]:
    """Sorted by name."""
    found = tuple(sorted(given, key=lambda each: each.name or ""))
    for one, other in itertools.pairwise(found):
        if one.name == other.name:
            raise ConfigError(f'Two {what}s are called "{one.name}".')
    return found


def _digest(*parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:16]
