"""A tool's parameters in the form that every provider takes. Pure.

Anthropic and OpenAI refuse a whole request when one of its tools has a choice at the top of its schema. What is left out of
the form that is sent is still checked: arguments are held against the tool's own schema.
"""

from collections.abc import Iterator
from typing import Any, Final, cast

_CHOICES: Final = ("allOf", "anyOf", "oneOf")
_REFUSED: Final = frozenset({*_CHOICES, "not", "if", "then", "else", "enum", "const"})

Schema = dict[str, Any]


def plain_parameters(schema: Schema) -> Schema:
    """The schema without choices at its top; each of their properties may be there, as far as the model is told."""
    if _REFUSED.isdisjoint(schema):
        return schema
    plain = {name: value for name, value in schema.items() if name not in _REFUSED}
    properties: Schema = {}
    required: list[str] = [*schema.get("required", ())]
    for keyword, option in _options(schema):
        properties |= cast("Schema", option.get("properties", {}))
        if keyword == "allOf":
            required += [name for name in option.get("required", ()) if name not in required]
    plain["type"] = "object"
    plain["properties"] = properties | cast("Schema", schema.get("properties", {}))
    if required:
        plain["required"] = required
    return plain


def _options(schema: Schema) -> Iterator[tuple[str, Schema]]:
    for keyword in _CHOICES:
        for option in cast("list[Any]", schema.get(keyword, ())):
            if isinstance(option, dict):
                yield keyword, _resolved(schema, cast("Schema", option))


def _resolved(schema: Schema, option: Schema) -> Schema:
    """The definition that an option names, if it does."""
    _, place, name = f"{option.get('$ref', '')}//".split("/", 2)
    named = cast("Schema", schema.get(place, {})) if place in ("$defs", "definitions") else {}
    found = named.get(name.rstrip("/"))
    return cast("Schema", found) if isinstance(found, dict) else option
