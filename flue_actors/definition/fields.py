"""The fields of agents and profiles: which there are, and what each may hold. Pure."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, Literal, cast, get_args

import msgspec
from msgspec import UNSET

from flue_actors.definition.tools import Tool
from flue_actors.errors import ConfigError
from flue_actors.ids import is_name
from flue_actors.models.protocol import ModelClient, ThinkingLevel

Concurrency = Literal["instance", "session"]
PublicEvents = Literal["public", "full"]
Model = str | ModelClient

LATER: Final = ("skills", "subagents", "sandbox", "cwd", "compaction", "limits")
"""Fields of features that are not there yet."""


class Durability(msgspec.Struct, frozen=True, kw_only=True):
    """How long one input may be worked on. ``timeout`` is in seconds."""

    attempts: int = 10
    timeout: float = 3600.0


Check = Callable[[str, Any], None]


def checked(given: Mapping[str, Any], known: Mapping[str, Check], what: str) -> dict[str, Any]:
    """The fields that are present, each one known and valid. ``what`` names their owner in errors.

    Raises:
        ConfigError: An unknown field (the message names the nearest one), a later one, or one that is not valid.
    """
    fields = {name: value for name, value in given.items() if value is not UNSET}
    for name, value in fields.items():
        if name in LATER:
            if value is not None and value is not False:
                raise ConfigError(f'"{name}" is not available yet.')
        elif name not in known:
            near = get_close_matches(name, known, 1)
            hint = f' Did you mean "{near[0]}"?' if near else f" There is: {', '.join(known)}."
            raise ConfigError(f'"{name}" is no field of {what}.{hint}')
        elif value is not None:
            known[name](name, value)
    return {
        name: tuple(value) if name == "tools" and value else value for name, value in fields.items() if name in known
    }


def _model(name: str, value: Any) -> None:
    if isinstance(value, str):
        provider, slash, model = value.partition("/")
        if not (slash and provider and model):
            raise ConfigError(f'"{value}" is not a model name: write "provider/model".')
    elif value is False:
        raise ConfigError("An agent without a model of its own is not available yet.")
    elif not (hasattr(value, "stream") and hasattr(value, "api")):
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
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise ConfigError(f'"{name}" is a list of tools.')
    seen: set[str] = set()
    for place, each in enumerate(cast("Sequence[object]", value)):
        if not isinstance(each, Tool):
            raise ConfigError(
                f'"{name}"[{place}] is {type(each).__name__}, not a tool.', details="Decorate the function with @tool."
            )
        if each.name in seen:
            raise ConfigError(f'Two tools are called "{each.name}".')
        seen.add(each.name)


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
    "thinking_level": _one_of(*get_args(ThinkingLevel)),
    "durability": _durability,
    "concurrency": _one_of(*get_args(Concurrency)),
    "public_events": _one_of(*get_args(PublicEvents)),
    "version": _nonblank,
    "tool_timeout": _seconds,
    "max_turns": _count,
    "max_queued": _count,
    "debounce": _seconds,
}
