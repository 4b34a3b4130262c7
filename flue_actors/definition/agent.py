"""Agents as users define them: `create_agent` and its configuration.

How they merge is said in `resolving`.
"""

import asyncio
import functools
import inspect
import sysconfig
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Never, TypedDict, Unpack, cast, overload

import msgspec
from msgspec import UNSET, UnsetType

from flue_actors.definition.fields import (
    AGENT_FIELDS,
    Check,
    Concurrency,
    Durability,
    Model,
    PublicEvents,
    checked,
)
from flue_actors.definition.guards import Principal
from flue_actors.definition.limits import Compaction, Limits
from flue_actors.definition.profile import AgentProfile, check_subagents
from flue_actors.definition.resolving import ResolvedAgent, resolve
from flue_actors.definition.tools import Tool
from flue_actors.errors import ConfigError, FlueError
from flue_actors.ids import is_name
from flue_actors.models.protocol import ThinkingLevel
from flue_actors.sandboxes.protocol import SandboxFactory
from flue_actors.skills.skill import Skill


class AgentContext(msgspec.Struct, frozen=True, kw_only=True):
    """What an initializer is told.

    Attributes:
        agent: The agent's name.
        id: The instance's id, exactly as addressed.
        env: The environment (with ``.env`` under ``flue-actors dev``).
        payload: The workflow's payload; None for agents.
        principal: Who sent the message, if a guard said so.
        state: What the instance's tools keep (`ToolContext.state`), as it is now; not to be changed here.
    """

    agent: str
    id: str
    env: Mapping[str, str]
    payload: Any = None
    principal: Principal | None = None
    state: Mapping[str, Any] = {}


class AgentConfig:
    """What an initializer returns. A field that is not given comes from the profile, or has its default; None clears it.

    Fields: ``model`` (required here or in the profile), ``profile``, ``name``, ``description``, ``instructions``,
    ``tools``, ``skills``, ``subagents`` (profiles it may delegate to), ``sandbox``, ``cwd`` (within the sandbox),
    ``thinking_level``, ``limits``, ``compaction`` (False: only when the provider says that it has to be), ``durability``,
    ``concurrency``, ``public_events``, ``version``, ``tool_timeout`` (seconds), ``max_turns``, ``max_queued``, ``debounce``
    (seconds).
    """

    __slots__ = ("fields",)

    def __init__(
        self,
        *,
        model: Model | UnsetType | None = UNSET,
        profile: AgentProfile | UnsetType | None = UNSET,
        name: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
        instructions: str | UnsetType | None = UNSET,
        tools: Sequence[Tool] | UnsetType | None = UNSET,
        skills: Sequence[Skill] | UnsetType | None = UNSET,
        subagents: Sequence[AgentProfile] | UnsetType | None = UNSET,
        sandbox: SandboxFactory | Literal[False] | UnsetType | None = UNSET,
        cwd: str | UnsetType | None = UNSET,
        limits: Limits | UnsetType | None = UNSET,
        compaction: Compaction | Literal[False] | UnsetType | None = UNSET,
        thinking_level: ThinkingLevel | UnsetType | None = UNSET,
        durability: Durability | UnsetType | None = UNSET,
        concurrency: Concurrency | UnsetType | None = UNSET,
        public_events: PublicEvents | UnsetType | None = UNSET,
        version: str | UnsetType | None = UNSET,
        tool_timeout: float | UnsetType | None = UNSET,
        max_turns: int | UnsetType | None = UNSET,
        max_queued: int | UnsetType | None = UNSET,
        debounce: float | UnsetType | None = UNSET,
        **unknown: Never,
    ) -> None:
        given: dict[str, Any] = {
            "model": model,
            "profile": profile,
            "name": name,
            "description": description,
            "instructions": instructions,
            "tools": tools,
            "skills": skills,
            "subagents": subagents,
            "sandbox": sandbox,
            "cwd": cwd,
            "limits": limits,
            "compaction": compaction,
            "thinking_level": thinking_level,
            "durability": durability,
            "concurrency": concurrency,
            "public_events": public_events,
            "version": version,
            "tool_timeout": tool_timeout,
            "max_turns": max_turns,
            "max_queued": max_queued,
            "debounce": debounce,
            **unknown,
        }
        self.fields: Final = checked(given, _CONFIG_FIELDS, "an agent")


Configured = AgentConfig | Awaitable[AgentConfig]
Initializer = Callable[[AgentContext], Configured] | Callable[[], Configured]


class CreatedAgent:
    """An agent's definition; made by `create_agent`. Immutable and free of state: instances live in a runtime."""

    __slots__ = ("_initialize", "_static", "aliases", "name")

    def __init__(self, initialize: Initializer | AgentConfig, *, name: str | None, aliases: Sequence[str]) -> None:
        for each in (*((name,) if name is not None else ()), *aliases):
            if not is_name(each):
                raise ConfigError(f'"{each}" is no name for an agent: use a letter, then letters, digits, "_" or "-".')
        self.name: Final = name
        self.aliases: Final = tuple(aliases)
        self._static = (
            msgspec.structs.replace(resolve(initialize.fields), shared=True)
            if isinstance(initialize, AgentConfig)
            else None
        )
        self._initialize = None if isinstance(initialize, AgentConfig) else _caller(initialize)

    @property
    def static(self) -> ResolvedAgent | None:
        """The configuration where it depends on nothing; None where an initializer makes it."""
        return self._static

    async def resolve(self, ctx: AgentContext, *, timeout: float | None = None) -> ResolvedAgent:
        """The configuration for one submission: runs the initializer, which may take ``timeout`` seconds.

        Raises:
            ConfigError: It raised, took too long, or what it returned is not valid; ``dev`` says where.
            FlueError: One that the initializer raised itself.
        """
        if self._initialize is None:
            assert self._static is not None
            return self._static
        try:
            config: object = self._initialize(ctx)
            if inspect.isawaitable(config):
                config = await _in_time(config, timeout)
            if isinstance(config, AgentConfig):
                return resolve(config.fields)
        except ConfigError as error:
            dev = f"{_users_line(error)}{error.dev}"
            raise ConfigError(f'Agent "{ctx.agent}": {error.message}', details=error.details, dev=dev) from error
        except FlueError:
            raise
        except Exception as error:
            dev = f"{_users_line(error)}{error!r}"
            raise ConfigError(f'The initializer of agent "{ctx.agent}" raised.', dev=dev) from error
        raise ConfigError(
            f'The initializer of agent "{ctx.agent}" returned {type(config).__name__}, not an AgentConfig.'
        )


class AgentFields(TypedDict, total=False):
    """Fields that both agents and profiles have; see `AgentConfig`."""

    description: str | None
    instructions: str | None
    tools: Sequence[Tool] | None
    skills: Sequence[Skill] | None
    subagents: Sequence[AgentProfile] | None
    limits: Limits | None
    compaction: Compaction | Literal[False] | None
    thinking_level: ThinkingLevel | None
    durability: Durability | None
    concurrency: Concurrency | None
    public_events: PublicEvents | None
    version: str | None
    tool_timeout: float | None
    max_turns: int | None
    max_queued: int | None
    debounce: float | None


class CreatedFields(AgentFields, total=False):
    """The fields of agents alone."""

    sandbox: SandboxFactory | Literal[False] | None
    cwd: str | None


class ProfileFields(AgentFields, total=False):
    """The fields of `define_agent_profile`; see `AgentConfig`."""

    model: Model | None
    name: str | None


@overload
def create_agent(
    initialize: Initializer, /, *, name: str | None = None, aliases: Sequence[str] = ()
) -> CreatedAgent: ...
@overload
def create_agent(
    *,
    model: Model,
    profile: AgentProfile | None = None,
    name: str | None = None,
    aliases: Sequence[str] = (),
    **config: Unpack[CreatedFields],
) -> CreatedAgent: ...
@overload
def create_agent(
    *, profile: AgentProfile, name: str | None = None, aliases: Sequence[str] = (), **config: Unpack[CreatedFields]
) -> CreatedAgent: ...
@overload
def create_agent(*, name: str | None = None, aliases: Sequence[str] = ()) -> Callable[[Initializer], CreatedAgent]: ...
def create_agent(
    initialize: Initializer | None = None, /, *, name: str | None = None, aliases: Sequence[str] = (), **config: Any
) -> CreatedAgent | Callable[[Initializer], CreatedAgent]:
    """Define an agent.

    Three ways: ``create_agent(model=..., instructions=...)`` when nothing depends on the instance; a function from
    `AgentContext` to `AgentConfig` (sync or async, run for every submission); or that function decorated with
    ``@create_agent`` or ``@create_agent(name=...)``.

    Args:
        name: Its address, instead of the file's name.
        aliases: Earlier names under which it can still be reached.
        config: The fields of `AgentConfig`.

    Raises:
        ConfigError: An unknown field (the message names the nearest one), or one that is not valid.
    """
    if initialize is not None and config:
        raise ConfigError("create_agent() takes an initializer or fields, not both.")
    if initialize is not None:
        return _with_initializer(initialize, name=name, aliases=aliases)
    if config:
        return CreatedAgent(AgentConfig(**config), name=name, aliases=aliases)
    return functools.partial(_with_initializer, name=name, aliases=aliases)


def _with_initializer(initialize: Initializer, *, name: str | None, aliases: Sequence[str]) -> CreatedAgent:
    if not callable(cast("object", initialize)):
        raise ConfigError("create_agent() needs a function, or fields by name.")
    return CreatedAgent(initialize, name=name, aliases=aliases)


def define_agent_profile(**fields: Unpack[ProfileFields]) -> AgentProfile:
    """Define a profile from the fields of `AgentConfig`, without ``profile``.

    Raises:
        ConfigError: An unknown field, or one that is not valid.
    """
    return AgentProfile(fields)


async def _in_time(config: Awaitable[object], seconds: float | None) -> object:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await config
    except TimeoutError:
        if not limit.expired():
            raise
        raise ConfigError(f"Its initializer did not return within {seconds:g} seconds.") from None


def _users_line(error: Exception) -> str:
    """``path:line: `` of the innermost frame that is neither ours nor a library's; empty if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES) and _SITE not in frame.filename]
    return f"{own[-1].filename}:{own[-1].lineno}: " if own else ""


_LIBRARIES: Final = (str(Path(__file__).parents[1]), sysconfig.get_path("stdlib"), "<frozen")
_SITE: Final = "site-packages"


def _caller(initialize: Initializer) -> Callable[[AgentContext], Any]:
    """The initializer as a function of the context; one without parameters is fine too."""
    if inspect.signature(initialize).parameters:
        return cast("Callable[[AgentContext], Configured]", initialize)
    return lambda _: cast("Callable[[], Configured]", initialize)()


def _profile(name: str, value: Any) -> None:
    if not isinstance(value, AgentProfile):
        raise ConfigError(f'"{name}" is made by define_agent_profile().')


_CONFIG_FIELDS: Final[Mapping[str, Check]] = {"profile": _profile, "subagents": check_subagents, **AGENT_FIELDS}
