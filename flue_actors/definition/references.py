"""What a JSON schema refers to inside of itself, and how that is kept true when it becomes a part of another one. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import unquote

from flue_actors.errors import ConfigError

_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Under these, keys are names and no keywords."""

_DATA: Final = frozenset({"enum", "const", "default", "examples"})
_LIFTED: Final = ("$defs", "definitions", "$schema")
"""What stays at the top, where models look for definitions."""

Schema = dict[str, Any]


def check_references(schema: Schema) -> None:
    """Look whether all that the schema refers to is there; found out later, it would cost a model call.

    Raises:
        ConfigError: It is not, or it is somewhere else: nothing is fetched.
    """
    if any("$id" in part for part in _parts(schema)):
        return  # places are relative to that then
    anchors = {f"#{part['$anchor']}" for part in _parts(schema) if "$anchor" in part}
    for part in _parts(schema):
        reference = part.get("$ref")
        if isinstance(reference, str) and reference not in anchors and not _is_there(schema, reference):
            raise ConfigError(f'The schema refers to "{reference}", which is not in it.')


def wrapped(schema: Schema, name: str) -> Schema:
    """The schema of an object whose only property is an instance of the given one. Both mean the same by a reference."""
    own = str(schema.get("$id", ""))

    def moved(reference: str) -> str:
        local = reference.removeprefix(own) if own else reference
        if not local.startswith("#") or local.startswith(("#/$defs/", "#/definitions/")):
            return local
        return f"#/properties/{name}{local[1:]}" if local == "#" or local.startswith("#/") else local

    whole = cast("Schema", _mapped(schema, moved))
    return {
        "type": "object",
        "properties": {name: {key: each for key, each in whole.items() if key not in (*_LIFTED, "$id")}},
        "required": [name],
        "additionalProperties": False,
        **{key: whole[key] for key in _LIFTED if key in whole},
    }


def _is_there(schema: Schema, reference: str) -> bool:
    if reference != "#" and not reference.startswith("#/"):
        return False
    place: Any = schema
    for step in reference.split("/")[1:]:
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(place, Mapping):
            place = cast("Mapping[str, Any]", place).get(key)
        elif isinstance(place, list) and key.isdigit():
            place = next(iter(cast("list[Any]", place)[int(key) :]), None)
        else:
            return False
    return place is not None


def _parts(value: Any, *, named: bool = False) -> Iterator[Schema]:
    """The schema and every schema in it."""
    if isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from _parts(each)
    elif isinstance(value, dict):
        part = cast("Schema", value)
        if not named:
            yield part
        for key, each in part.items():
            if named or key not in _DATA:
                yield from _parts(each, named=not named and key in _NAMED)


def _mapped(value: Any, moved: Callable[[str], str], *, named: bool = False) -> Any:
    """The same with other references."""
    if isinstance(value, list):
        return [_mapped(each, moved) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    found: Schema = {}
    for key, each in cast("Schema", value).items():
        if not named and key == "$ref" and isinstance(each, str):
            found[key] = moved(each)
        elif named or key not in _DATA:
            found[key] = _mapped(each, moved, named=not named and key in _NAMED)
        else:
            found[key] = each
    return found
