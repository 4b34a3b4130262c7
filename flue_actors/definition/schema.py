"""JSON schemas of tools, and arguments checked against them: from a function's type hints, or from a given schema.

What the model sends is converted where the meaning is plain (``"3"`` for a number, null for "left out"), as Flue does; the
rest is a `ToolArgumentsError` that tells the model which field is wrong.
"""

import copy
import functools
import inspect
import json
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any, Final, Protocol, cast, get_args, get_type_hints

import msgspec

from flue_actors.definition.docstrings import described
from flue_actors.errors import ConfigError, ToolArgumentsError

_SHOWN: Final = 2_000
"""Characters of a problem, and of the arguments, that the model is shown."""

_ZERO: Final[Mapping[str, Any]] = {"string": "", "integer": 0, "number": 0, "boolean": False}


class Binding(Protocol):
    """Checks arguments for one tool."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema the model sees."""
        ...

    @property
    def description(self) -> str:
        """What the function says about itself."""
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
    description: str

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
    check: Any  # a jsonschema validator
    description: str = ""

    def bind(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Keyword arguments for the function. Raises ToolArgumentsError."""
        from jsonschema import exceptions

        given = _coerced(arguments, self.parameters)
        problem = cast("Any", exceptions.best_match)(self.check.iter_errors(given))
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
    inner: Any = inspect.unwrap(function)  # functions wrapped by one decorator share the code of the wrapper
    code = getattr(inner, "__code__", None)
    if not isinstance(code, CodeType):
        return _build(function, context_type)
    bound = inspect.ismethod(function)
    key = (inner.__defaults__, inner.__kwdefaults__, inner.__annotations__, function.__doc__, bound)
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
        raise ConfigError('The parameters are no JSON schema of type "object".')
    schema = {"type": "object", **parameters}
    context: str | None = None
    argument: str | None = None
    hints = _hints(function)
    for name in inspect.signature(function).parameters:
        if _is_context(hints.get(name), context_type):
            context = name
        elif argument is None:
            argument = name
    if argument is None:
        raise ConfigError("The function has to take the arguments as one dict.")
    return SchemaBinding(schema, argument, context, _validator(_canonical(schema)))


def _canonical(schema: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"The parameters are not JSON: {error}.") from error


@functools.lru_cache(512)  # tools of an id are made for every input
def _validator(schema: bytes) -> Any:
    from jsonschema import SchemaError, validators  # 60 ms, for tools with raw schemas only
    from referencing import Registry

    known = msgspec.json.decode(schema)
    kind = validators.validator_for(known, default=validators.Draft202012Validator)
    try:
        kind.check_schema(known)
    except SchemaError as error:
        raise ConfigError(f"The parameters are no JSON schema: {error.message}.") from error
    return kind(known, registry=Registry())  # of its own: nothing is fetched from anywhere


def _build(function: Callable[..., Any], context_type: type) -> FunctionBinding:
    fields: list[Any] = []
    context: str | None = None
    hints = _hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints.get(name, Any)
        if _is_context(kind, context_type):
            context = name
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(f'Parameter "{name}" has to be an ordinary one: the model fills it by name.')
        if name not in hints:
            raise ConfigError(f'Parameter "{name}" has no type hint.')
        fields.append((name, kind) if parameter.default is parameter.empty else (name, kind, _default(parameter)))
    struct = msgspec.defstruct("Arguments", fields, kw_only=True)
    said = described(function)
    schema = _schema_of(struct)
    for name, text in said.parameters.items():
        if name in schema["properties"]:
            schema["properties"][name].setdefault("description", text)
    return FunctionBinding(struct, schema, context, said.text)


def _is_context(hint: Any, context_type: type) -> bool:
    return hint is context_type or {*get_args(hint)} == {context_type, type(None)}


def _default(parameter: inspect.Parameter) -> Any:
    value = parameter.default
    if isinstance(value, list | dict | set | bytearray | msgspec.Struct):
        return msgspec.field(default_factory=functools.partial(copy.copy, cast("Any", value)))
    return value


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        hints = get_type_hints(target, include_extras=True)
    except NameError as error:
        raise ConfigError(f'The type hint "{error.name}" cannot be found.') from error
    return {name: hint for name, hint in hints.items() if name != "return"}


def _schema_of(struct: Any) -> dict[str, Any]:
    try:
        (_, components) = msgspec.json.schema_components(
            [struct], schema_hook=_to_schema, ref_template="#/$defs/{name}"
        )
    except TypeError as error:
        raise ConfigError(f"A parameter has a type (or default) that JSON cannot express: {error}.") from error
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
    try:
        return kind.model_validate(value)
    except ValueError as error:
        raise ValueError(_pydantic_problem(error)) from error


def _pydantic_problem(error: Any) -> str:
    """pydantic's own text is for people: it links to its documentation."""
    problems = error.errors(include_url=False) if hasattr(error, "errors") else ()
    said = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in problems]
    return "; ".join(said) or str(error)


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
    if isinstance(value, dict):
        given = _without_nulls(cast("dict[str, Any]", value), schema)
        properties = schema.get("properties", {})
        return {name: _coerced(each, properties.get(name)) for name, each in given.items()}
    if isinstance(value, list):
        return [_coerced(each, schema.get("items")) for each in cast("list[Any]", value)]
    if isinstance(value, str | float):
        return _coerced_scalar(value, schema.get("type"))
    return value


def _coerced_scalar(value: str | float, kind: Any) -> Any:
    kinds = cast("list[Any]", kind) if isinstance(kind, list) else [kind]
    for each, target in (("integer", int), ("number", float), ("boolean", bool)):
        if each in kinds and "string" not in kinds:
            try:
                return msgspec.convert(value, target, strict=False)
            except (msgspec.ValidationError, ValueError):
                continue
    return value


def _misfit(tool: str, problem: str, arguments: dict[str, Any]) -> ToolArgumentsError:
    received = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    text = f"Invalid arguments for {tool}: {_cut(problem.replace('$.', ''))}. Received: {_cut(received)}"
    return ToolArgumentsError(text.encode(errors="replace").decode())


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
