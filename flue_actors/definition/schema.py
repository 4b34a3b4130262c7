"""A function's type hints as a JSON schema, and a model's arguments as what the function takes."""

import copy
import functools
import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any, Final, Protocol, cast, get_args, get_type_hints

import msgspec

from flue_actors.definition.arguments import misfit, without_nulls
from flue_actors.definition.docstrings import described
from flue_actors.errors import ConfigError


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
        given = without_nulls(arguments, self.parameters)
        try:
            bound = msgspec.convert(given, self.type, strict=False, dec_hook=_from_json)
        except (msgspec.ValidationError, ValueError) as error:
            raise misfit(tool, str(error), arguments) from error
        return {name: getattr(bound, name) for name in self.type.__struct_fields__}


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


def _build(function: Callable[..., Any], context_type: type) -> FunctionBinding:
    fields: list[Any] = []
    context: str | None = None
    hints = type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints.get(name, Any)
        if is_context(kind, context_type):
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


def is_context(hint: Any, context_type: type) -> bool:
    """True for the type itself, and for it or None."""
    return hint is context_type or {*get_args(hint)} == {context_type, type(None)}


def schema_of_type(kind: Any) -> dict[str, Any]:
    """The JSON schema of a type: one of msgspec's, a dataclass, TypedDict, pydantic model, or made of these.

    Raises:
        ConfigError: JSON cannot express it.
    """
    wrapper = msgspec.defstruct("Arguments", [("value", kind)])
    schema = _schema_of(wrapper)
    value = schema["properties"]["value"]
    definitions = schema.get("$defs", {})
    name = value.get("$ref", "").removeprefix("#/$defs/")
    if name in definitions:  # its own schema at the top, which is where providers want an object
        value = definitions[name]
        if f'"#/$defs/{name}"' not in msgspec.json.encode(definitions).decode():
            definitions = {other: each for other, each in definitions.items() if other != name}
    return {**value, "$defs": definitions} if definitions else value


def from_json_value(kind: Any, value: Any) -> Any:
    """JSON as what a type says it is. Raises msgspec.ValidationError, ValueError."""
    return msgspec.convert(value, kind, dec_hook=_from_json)


def _default(parameter: inspect.Parameter) -> Any:
    value = parameter.default
    if isinstance(value, list | dict | set | bytearray | msgspec.Struct):
        return msgspec.field(default_factory=functools.partial(copy.copy, cast("Any", value)))
    return value


def type_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters' types by name. Raises ConfigError for one that cannot be found."""
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
