"""The fields of agents and profiles: which there are, and what each may hold. Pure."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, Literal, cast, get_args

import msgspec
from msgspec import UNSET

from flue_actors.definition.limits import Compaction, Limits
from flue_actors.definition.tools import Tool
from flue_actors.errors import ConfigError
from flue_actors.ids import is_name
from flue_actors.models.protocol import ModelClient, ThinkingLevel
from flue_actors.skills.skill import Skill

Concurrency = Literal["instance", "session"]
PublicEvents = Literal["public", "full"]
Model = str | ModelClient | Literal[False]
"""``"provider/model"``, a client of your own, or False: every prompt says which."""


class Durability(msgspec.Struct, frozen=True, kw_only=True):
    """How long one input may be worked on. ``timeout`` is in seconds."""

    attempts: int = 10
    timeout: float = 3600.0


Check = Callable[[str, Any], None]


def checked(given: Mapping[str, Any], known: Mapping[str, Check], what: str) -> dict[str, Any]:
    """The fields that are present, each one known and valid. ``what`` names their owner in errors.

    Raises:
        ConfigError: An unknown field (the message names the nearest one), or one that is not valid.
    """
    fields = {name: value for name, value in given.items() if value is not UNSET}
    for name, value in fields.items():
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f' Did you mean "{near[0]}"?' if near else f" There is: {', '.join(known)}."
            raise ConfigError(f'"{name}" is no field of {what}.{hint}')
        if value is not None:
            known[name](name, value)
    return {name: tuple(value) if name in APPENDED and value else value for name, value in fields.items()}


APPENDED: Final = ("tools", "skills", "subagents")
"""Fields whose values go behind the profile's instead of replacing them."""


def _model(name: str, value: Any) -> None:
    if isinstance(value, str):
        provider, slash, model = value.partition("/")
        if not (slash and provider and model):
            raise ConfigError(f'"{value}" is not a model name: write "provider/model".')
    elif value is not False and not (hasattr(value, "stream") and hasattr(value, "api")):
        raise ConfigError(f'"{name}" is "provider/model" or a ModelClient.')


def _agent_name(name: str, value: Any) -> None:
    if not (isinstance(value, str) and is_name(value)):
        raise ConfigError(f'"{name}" has to be a letter, then letters, digits, "_" or "-".')


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ConfigError(f'"{name}" is text.')


def _nonblank(name: str, value: Any) -> None:
    _text(name, value)
    if not value.strip():
        raise ConfigError(f'"{name}" is blank.')


def _tools(name: str, value: Any) -> None:
    for place, each in enumerate(_distinct(name, value, "tool")):
        if not isinstance(each, Tool):
            raise ConfigError(
                f'"{name}"[{place}] is {type(each).__name__}, not a tool.', details="Decorate the function with @tool."
            )


def _skills(name: str, value: Any) -> None:
    for place, each in enumerate(_distinct(name, value, "skill")):
        if not isinstance(each, Skill):
            raise ConfigError(
                f'"{name}"[{place}] is {type(each).__name__}, not a skill.', details="Use load_skill(path)."
            )


def _distinct(name: str, value: Any, what: str) -> Sequence[object]:
    """The list, in which no two things of a name are."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise ConfigError(f'"{name}" is a list of {what}s.')
    given, seen = cast("Sequence[object]", value), set[str]()
    for each in given:
        named: object = getattr(each, "name", None)
        if isinstance(named, str):
            if named in seen:
                raise ConfigError(f'Two {what}s are called "{named}".')
            seen.add(named)
    return given


def _one_of(*choices: str) -> Check:
    def check(name: str, value: Any) -> None:
        if value not in choices:
            raise ConfigError(f'"{name}" is one of: {", ".join(choices)}.')

    return check


def _count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f'"{name}" is a whole number above 0.')


def _seconds(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ConfigError(f'"{name}" is a positive number of seconds.')


def _amount(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ConfigError(f'"{name}" is a positive number.')


def _limits(name: str, value: Any) -> None:
    if not isinstance(value, Limits):
        raise ConfigError(f'"{name}" is a Limits.')
    for field in ("turns", "tokens", "tool_output", "total_tokens"):
        if (given := getattr(value, field)) is not None:
            _count(f"{name}.{field}", given)
    for field in ("cost", "seconds", "total_cost"):
        if (given := getattr(value, field)) is not None:
            _amount(f"{name}.{field}", given)


def _compaction(name: str, value: Any) -> None:
    if value is False:
        return
    if not isinstance(value, Compaction):
        raise ConfigError(f'"{name}" is a Compaction, or False.')
    if value.reserve_tokens is not None:
        _count("compaction.reserve_tokens", value.reserve_tokens)
    _count("compaction.keep_recent_tokens", value.keep_recent_tokens)
    if value.model is not None:
        _model("compaction.model", value.model)


def _sandbox(name: str, value: Any) -> None:
    if value is not False and not callable(getattr(value, "open", None)):
        raise ConfigError(
            f'"{name}" is {type(value).__name__}, not a sandbox.',
            details="Use virtual(), local(...), isolated(...), or an object with `async def open(context)`.",
        )


def _durability(name: str, value: Any) -> None:
    if not isinstance(value, Durability):
        raise ConfigError(f'"{name}" is a Durability.')
    _count("durability.attempts", value.attempts)
    _seconds("durability.timeout", value.timeout)


PROFILE_FIELDS: Final[Mapping[str, Check]] = {
    "model": _model,
    "name": _agent_name,
    "description": _nonblank,
    "instructions": _text,
    "tools": _tools,
    "skills": _skills,
    "thinking_level": _one_of(*get_args(ThinkingLevel)),
    "durability": _durability,
    "concurrency": _one_of(*get_args(Concurrency)),
    "public_events": _one_of(*get_args(PublicEvents)),
    "version": _nonblank,
    "tool_timeout": _seconds,
    "max_turns": _count,
    "max_queued": _count,
    "debounce": _seconds,
    "limits": _limits,
    "compaction": _compaction,
}


def check_call(given: Mapping[str, Any]) -> None:
    """Check what one input wants otherwise than its agent's definition says. Raises ConfigError."""
    for name in ("model", "thinking_level", "limits", "tools"):
        if given.get(name) is not None:
            PROFILE_FIELDS[name](name, given[name])


AGENT_FIELDS: Final[Mapping[str, Check]] = {"cwd": _nonblank, "sandbox": _sandbox, **PROFILE_FIELDS}
"""Fields of agents that profiles do not have, and those that both have."""


def distinct_profiles(name: str, value: Any, kind: type) -> None:
    """Check a list of subagents: profiles with names of their own."""
    for place, each in enumerate(_distinct(name, value, "subagent")):
        if not isinstance(each, kind):
            raise ConfigError(
                f'"{name}"[{place}] is {type(each).__name__}, not a profile.', details="Use define_agent_profile(...)."
            )
