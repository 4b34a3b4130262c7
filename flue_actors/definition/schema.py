"""JSON schemas of tools, and arguments checked against them: from a function's type hints, or from a given schema.

What the model sends is converted where the meaning is plain (``"3"`` for a number, null for "left out"), as Flue does; the
rest is a `ToolArgumentsError` that tells the model which field is wrong.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any, Final, Protocol, cast, get_type_hints

import msgspec

from flue_actors.errors import ConfigError, ToolArgumentsError

_SHOWN: Final = 2_000
_ZERO: Final[Mapping[str, Any]] = {"string": "", "integer": 0, "number": 0, "boolean": False}


class Binding(Protocol):
    """Checks arguments for one tool."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema the model sees."""
        ...

    @property
    def context(self) -> str | None:
        """The parameter that gets the `ToolContext`, if the function wants it."""
        ...

    def bind(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Keyword arguments for the function. Raises ToolArgumentsError."""
        ...


class FunctionBinding(msgspec.Struct, frozen=True):
    """From type hints: msgspec types, standard ones, dataclasses, TypedDicts, pydantic models."""

    type: Any  # a Struct with the function's parameters as fields
    parameters: dict[str, Any]
    context: str | None

    def bind(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Keyword arguments for the function. Raises ToolArgumentsError."""
        given = _without_nulls(arguments, self.parameters)
        try:
            bound = msgspec.convert(given, self.type, strict=False, dec_hook=_from_json)
        except (msgspec.ValidationError, ValueError) as error:
            raise _misfit(tool, str(error), arguments) from error
        return {name: getattr(bound, name) for name in self.type.__struct_fields__}


class SchemaBinding(msgspec.Struct, frozen=True):
    """From a JSON schema: the function gets all arguments as one dict, named ``arguments``."""

    parameters: dict[str, Any]
    argument: str
    context: str | None

    def bind(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Keyword arguments for the function. Raises ToolArgumentsError."""
        from jsonschema import exceptions, validators  # 60 ms, for tools with raw schemas only

        given = _coerced(arguments, self.parameters)
        checker = validators.validator_for(self.parameters)(self.parameters)
        problem = cast("Any", exceptions.best_match)(checker.iter_errors(given))
        if problem is not None:
            where = ".".join(str(part) for part in problem.absolute_path)
            raise _misfit(tool, f"{where}: {problem.message}" if where else problem.message, arguments)
        return {self.argument: given}


def function_binding(function: Callable[..., Any], context_type: type) -> FunctionBinding:
    """The binding of a function; ``context_type`` marks the parameter that is not the model's business.

    Cached per code object: an initializer defines its per-id tools anew for every input (2 us instead of 150).

    Raises:
        ConfigError: A parameter has no type, a type JSON cannot express, or is positional-only or variadic.
    """
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return _build(function, context_type)
    key = (function.__defaults__, function.__kwdefaults__, function.__annotations__)
    known = _CACHE.get(code)
    if known is None or known[0] != key:
        if len(_CACHE) >= _CACHE_SIZE:
            _CACHE.clear()
        known = _CACHE[code] = (key, _build(function, context_type))
    return known[1]


# Pure memoization, keyed by the code itself: two runtimes that share an entry share a constant.
_CACHE: dict[CodeType, tuple[Any, FunctionBinding]] = {}
_CACHE_SIZE: Final = 4_096


def schema_binding(parameters: Mapping[str, Any], function: Callable[..., Any], context_type: type) -> SchemaBinding:
    """The binding of a raw JSON schema.

    Raises:
        ConfigError: It is not an object schema, or the function does not take one dict (and a `ToolContext`).
    """
    if parameters.get("type", "object") != "object":
        raise ConfigError('A tool\'s parameters are a JSON schema of type "object".')
    context: str | None = None
    argument: str | None = None
    hints = _hints(function)
    for name in inspect.signature(function).parameters:
        if hints.get(name) is context_type:
            context = name
        elif argument is None:
            argument = name
    if argument is None:
        raise ConfigError("A tool with a JSON schema takes its arguments as one dict.")
    return SchemaBinding({"type": "object", **parameters}, argument, context)


def _build(function: Callable[..., Any], context_type: type) -> FunctionBinding:
    fields: list[Any] = []
    context: str | None = None
    hints = _hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints.get(name, Any)
        if kind is context_type:
            context = name
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(f'Tool parameter "{name}" must be an ordinary one: the model fills it by name.')
        if name not in hints:
            raise ConfigError(f'Tool parameter "{name}" has no type hint.')
        fields.append((name, kind) if parameter.default is parameter.empty else (name, kind, _default(parameter)))
    struct = msgspec.defstruct("Arguments", fields, kw_only=True)
    return FunctionBinding(struct, _schema_of(struct), context)


def _default(parameter: inspect.Parameter) -> Any:
    value = parameter.default
    if isinstance(value, list | dict | set):
        return msgspec.field(default_factory=functools.partial(_copy, cast("Any", value)))
    return value


def _copy(value: Any) -> Any:
    return value.copy()


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        hints = get_type_hints(target, include_extras=True)
    except NameError as error:
        raise ConfigError(f'The type hint "{error.name}" of a tool cannot be found.') from error
    return {name: hint for name, hint in hints.items() if name != "return"}


def _schema_of(struct: Any) -> dict[str, Any]:
    try:
        (_, components) = msgspec.json.schema_components(
            [struct], schema_hook=_to_schema, ref_template="#/$defs/{name}"
        )
    except TypeError as error:
        raise ConfigError(f"A tool parameter has a type that JSON cannot express: {error}") from error
    schema: dict[str, Any] = dict(components.pop("Arguments"))
    schema.pop("title", None)
    hoisted: dict[str, Any] = dict(components)
    schema = _hoist(schema, hoisted)
    if hoisted:
        schema["$defs"] = {name: _hoist(each, hoisted) for name, each in list(hoisted.items())}
    return schema


def _hoist(schema: Any, into: dict[str, Any]) -> Any:
    """Move nested ``$defs`` (pydantic writes them beside each model) to where the references point."""
    if isinstance(schema, list):
        return [_hoist(each, into) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    found = dict(cast("dict[str, Any]", schema))
    into.update(found.pop("$defs", {}))
    return {name: _hoist(each, into) for name, each in found.items()}


def _to_schema(kind: Any) -> dict[str, Any]:
    if hasattr(kind, "model_json_schema"):
        return kind.model_json_schema()
    raise TypeError(getattr(kind, "__name__", str(kind)))


def _from_json(kind: Any, value: Any) -> Any:
    if hasattr(kind, "model_validate"):
        return kind.model_validate(value)
    raise TypeError(f"Expected {kind}")


def _without_nulls(arguments: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Nulls a field does not admit: left out when it may be, else the type's empty value."""
    if None not in arguments.values():
        return arguments
    properties, required = schema.get("properties", {}), schema.get("required", ())
    given = dict(arguments)
    for name, value in arguments.items():
        field = properties.get(name)
        if value is not None or field is None or _admits_null(field):
            continue
        if name not in required:
            del given[name]
        elif field.get("type") in _ZERO:
            given[name] = _ZERO[field["type"]]
    return given


def _admits_null(field: Mapping[str, Any]) -> bool:
    kind = field.get("type")
    if kind == "null" or (isinstance(kind, list) and "null" in kind) or None in field.get("enum", ()):
        return True
    return any(_admits_null(each) for each in field.get("anyOf", ())) or not (
        kind or "anyOf" in field or "$ref" in field
    )


def _coerced(value: Any, schema: Any) -> Any:
    """``value`` with text turned into the number or boolean its schema asks for."""
    if not isinstance(schema, Mapping):
        return value
    schema = cast("Mapping[str, Any]", schema)
    kind = schema.get("type")
    if isinstance(value, dict):
        given = _without_nulls(cast("dict[str, Any]", value), schema)
        properties = schema.get("properties", {})
        return {name: _coerced(each, properties.get(name)) for name, each in given.items()}
    if isinstance(value, list):
        return [_coerced(each, schema.get("items")) for each in cast("list[Any]", value)]
    if isinstance(value, str) and kind in ("integer", "number", "boolean"):
        target: Any = {"integer": int, "number": float, "boolean": bool}[kind]
        try:
            return msgspec.convert(value, target, strict=False)
        except msgspec.ValidationError:
            return value
    return value


def _misfit(tool: str, problem: str, arguments: dict[str, Any]) -> ToolArgumentsError:
    received = msgspec.json.encode(arguments).decode()
    if len(received) > _SHOWN:
        received = received[:_SHOWN] + "..."
    return ToolArgumentsError(f"Invalid arguments for {tool}: {problem.replace('$.', '')}. Received: {received}")
