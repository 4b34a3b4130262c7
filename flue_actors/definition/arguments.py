"""A model's arguments before they are checked, and what it is told about those that do not fit.

What it sends is converted where the meaning is plain (``"3"`` for a number, null for "left out"), as Flue does; the rest
is a `ToolArgumentsError` that names the field and what was received.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from flue_actors.errors import ToolArgumentsError

_SHOWN: Final = 2_000
"""Characters of a problem, and of the arguments, that the model is shown."""

_ZERO: Final[Mapping[str, Any]] = {"string": "", "integer": 0, "number": 0, "boolean": False}


def without_nulls(arguments: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Nulls a field does not admit: left out when it may be, else the type's empty value."""
    if None not in arguments.values():
        return arguments
    properties, required = schema.get("properties", {}), schema.get("required", ())
    given = dict(arguments)
    for name, value in arguments.items():
        field = properties.get(name, True)
        if value is not None or _admits_null(field):
            continue
        if name not in required:
            del given[name]
        else:
            given[name] = next((_ZERO[kind] for kind in kinds(field) if kind in _ZERO), None)
    return given


def kinds(field: Mapping[str, Any]) -> list[str]:
    """The JSON types a schema names; empty when it says nothing of types."""
    kind = field.get("type", [])
    return cast("list[str]", kind) if isinstance(kind, list) else [kind]


def _admits_null(field: Any) -> bool:
    if not isinstance(field, Mapping):  # true and false are schemas too
        return bool(field)
    schema = cast("Mapping[str, Any]", field)
    if "null" in kinds(schema) or None in schema.get("enum", ()):
        return True
    if any(_admits_null(each) for each in schema.get("anyOf", ())):
        return True
    return not (kinds(schema) or {"anyOf", "enum", "$ref"} & schema.keys())


def misfit(tool: str, problem: str, arguments: dict[str, Any]) -> ToolArgumentsError:
    """The error that tells the model what is wrong; text of any length or encoding becomes short and sound."""
    received = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    text = f"Invalid arguments for {tool}: {_cut(problem.replace('$.', ''))}. Received: {_cut(received)}"
    return ToolArgumentsError(text.encode(errors="replace").decode())


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
