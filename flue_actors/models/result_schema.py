"""Whether a provider can promise that a reply is an instance of a JSON schema, and how to put the schema to it. Pure.

Anthropic and OpenAI both take a part of JSON schema only; what comes out here is in both parts:

* every object closed, all of its properties required, nothing recursive and no ``$ref``;
* enumerations with their type, ``anyOf`` for every choice;
* limits (``minimum``, ``pattern``, ``maxItems``, ...) as words in the description: the model reads them, nobody
  enforces them. So the reply still has to be validated with the schema itself.

An instance of the adapted schema that keeps those limits is an instance of the given one. A schema that cannot be said
this way (open objects, tuples, recursion, a root that is no object, more than the smallest limits of the providers)
is not native: ask for the result in another way.
"""

from collections.abc import Iterable
from typing import Any, Final, cast
from urllib.parse import unquote

from flue_actors.errors import ConfigError
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.protocol import ModelRequest

MAX_DEPTH: Final = 5
MAX_PROPERTIES: Final = 100
MAX_CHOICES: Final = 16
MAX_VALUES: Final = 500

_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"},
)
_HINTS: Final = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
    "format", "contentEncoding", "contentMediaType", "minItems", "maxItems", "uniqueItems", "minProperties",
    "maxProperties",
)  # fmt: skip
_IMPOSSIBLE: Final = frozenset(
    {
        "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "dependentRequired",
        "dependentSchemas", "dependencies", "not", "if", "then", "else", "prefixItems", "additionalItems", "contains",
        "$dynamicRef", "$recursiveRef",
    }
)  # fmt: skip
_TYPE_NAMES: Final[dict[type[object], str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    type(None): "null",
}

Schema = dict[str, Any]


def native_schema(schema: Schema) -> Schema | None:
    """The schema as providers take it; None when it cannot be used natively. An adapted schema stays as it is."""
    try:
        adapted = _Adapter(schema).adapt(schema, 0, ())
    except ConfigError:
        return None
    return adapted if adapted.get("type") == "object" else None


def promised_schema(request: ModelRequest, info: ModelInfo) -> Schema | None:
    """The schema to ask for natively in this request, if any."""
    return native_schema(request.result_schema) if info.native_results and request.result_schema is not None else None


class _Adapter:
    """One pass over a schema, counting what providers limit.

    Raises:
        ConfigError: From every method: not native, and why.
    """

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._properties = 0
        self._choices = 0
        self._values = 0

    def adapt(self, given: Any, depth: int, inside: tuple[str, ...]) -> Schema:
        """This part of the schema; ``inside`` are the references that led here."""
        schema, inside = self._resolved(given, inside)
        if impossible := _IMPOSSIBLE & schema.keys():
            raise ConfigError(f"{min(impossible)} cannot be said natively.")
        adapted = self._shape(schema, depth, inside)
        if description := _description(schema, adapted):
            adapted["description"] = description
        return adapted

    def _shape(self, schema: Schema, depth: int, inside: tuple[str, ...]) -> Schema:
        if "const" in schema:
            return self._literals([schema["const"]])
        if "enum" in schema:
            return self._literals(schema["enum"])
        if (options := schema.get("anyOf") or schema.get("oneOf")) is not None:
            if "properties" in schema:
                raise ConfigError("A choice beside properties cannot be said natively.")
            return self._choice([self.adapt(option, depth, inside) for option in options])
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._choice([self._typed(schema, each, depth, inside) for each in cast("list[Any]", kind)])
        return self._typed(schema, kind, depth, inside)

    def _typed(self, schema: Schema, kind: Any, depth: int, inside: tuple[str, ...]) -> Schema:
        if kind == "object":
            return self._object(schema, depth + 1, inside)
        if kind == "array":
            items = self.adapt(schema.get("items"), self._deeper(depth + 1), inside)
            least = {"minItems": schema["minItems"]} if schema.get("minItems") in (0, 1) else {}
            return {"type": "array", "items": items, **least}
        if kind == "string" and schema.get("format") in _FORMATS:
            return {"type": "string", "format": schema["format"]}
        if kind in ("string", "integer", "number", "boolean", "null"):
            return {"type": kind}
        raise ConfigError("Anything at all cannot be said natively.")

    def _object(self, schema: Schema, depth: int, inside: tuple[str, ...]) -> Schema:
        named = _mapping(schema.get("properties"))
        if named is None or schema.get("additionalProperties"):
            raise ConfigError("An open object cannot be said natively.")
        self._deeper(depth)
        self._properties = _at_most(self._properties + len(named), MAX_PROPERTIES)
        return {
            "type": "object",
            "properties": {name: self.adapt(part, depth, inside) for name, part in named.items()},
            "required": list(named),
            "additionalProperties": False,
        }

    def _literals(self, values: list[Any]) -> Schema:
        """An enumeration; of several types, a choice of enumerations."""
        by_type: dict[str, list[Any]] = {}
        for value in values:
            if (name := _TYPE_NAMES.get(cast("type[object]", type(value)))) is None:
                raise ConfigError("A literal object or array cannot be said natively.")
            by_type.setdefault(name, []).append(value)
        self._values = _at_most(self._values + len(values), MAX_VALUES)
        return self._choice(
            [{"type": name} | ({} if name == "null" else {"enum": same}) for name, same in by_type.items()]
        )

    def _choice(self, options: list[Schema]) -> Schema:
        if not options:
            raise ConfigError("A choice of nothing cannot be said natively.")
        if len(options) == 1:
            return options[0]
        self._choices = _at_most(self._choices + 1, MAX_CHOICES)
        return {"anyOf": options}

    def _resolved(self, schema: Any, inside: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """Without ``$ref`` and ``allOf`` at its top; what stands beside them wins."""
        while (part := _mapping(schema)) is not None:
            name: Any = part.get("$ref")
            options: Any = part.get("allOf")
            if name is not None:
                if name in inside or name == "#":
                    raise ConfigError("A recursive schema cannot be said natively.")
                inside = (*inside, str(name))
                schema = _target(self._root, str(name)) | _without(part, "$ref")
            elif options is not None:
                if len(options) != 1 or (only := _mapping(options[0])) is None:
                    raise ConfigError("allOf cannot be said natively.")
                schema = only | _without(part, "allOf")
            else:
                return part, inside
        raise ConfigError("Anything at all cannot be said natively.")

    def _deeper(self, depth: int) -> int:
        return _at_most(depth, MAX_DEPTH)


def _target(root: Schema, reference: str) -> Schema:
    target: Schema | None = root
    for part in reference.removeprefix("#/").split("/"):
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        target = _mapping(target.get(name)) if target is not None else None
    if target is None:
        raise ConfigError(f"{reference} leads nowhere.")
    return target


def _mapping(value: Any) -> Schema | None:
    return cast("Schema", value) if isinstance(value, dict) else None


def _description(schema: Schema, adapted: Schema) -> str:
    """The schema's own, and the limits that got lost."""
    lost: Iterable[str] = (key for key in _HINTS if key in schema and key not in adapted)
    limits = ", ".join(f"{key}: {schema[key]}" for key in lost)
    words = schema.get("description") or adapted.get("description") or ""
    return f"{words} ({limits})".strip() if limits else words


def _without(schema: Schema, key: str) -> Schema:
    return {name: part for name, part in schema.items() if name != key}


def _at_most(count: int, most: int) -> int:
    if count > most:
        raise ConfigError("The schema is larger than providers take.")
    return count
