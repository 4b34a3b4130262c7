"""Tools with a JSON schema of their own: the schema checked when the tool is defined, arguments checked against it."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from flue_actors.definition.arguments import kinds, misfit, without_nulls
from flue_actors.definition.schema import is_context, type_hints
from flue_actors.errors import ConfigError


class SchemaBinding(msgspec.Struct, frozen=True):
    """From a JSON schema: the function gets all arguments as one dict, by the name of its first parameter."""

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
            raise misfit(tool, f"{where}: {problem.message}" if where else problem.message, arguments)
        return {self.argument: given}


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
    hints = type_hints(function)
    for name in inspect.signature(function).parameters:
        if is_context(hints.get(name), context_type):
            context = name
        elif argument is None:
            argument = name
    if argument is None:
        raise ConfigError("The function has to take the arguments as one dict.")
    return SchemaBinding(schema, argument, context, validator(schema))


def validator(schema: Mapping[str, Any]) -> Any:
    """A jsonschema validator of this schema, cached. It fetches nothing from anywhere.

    Raises:
        ConfigError: It is no JSON schema.
    """
    return _validator(_canonical(dict(schema)))


def _canonical(schema: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"The schema is not JSON: {error}.") from error


@functools.lru_cache(512)  # tools of an id are made for every input
def _validator(schema: bytes) -> Any:
    from jsonschema import SchemaError, validators  # 60 ms, for tools with raw schemas only
    from referencing import Registry

    known = msgspec.json.decode(schema)
    kind = validators.validator_for(known, default=validators.Draft202012Validator)
    try:
        kind.check_schema(known)
    except SchemaError as error:
        raise ConfigError(f"It is no JSON schema: {error.message}.") from error
    return kind(known, registry=Registry())  # of its own: nothing is fetched from anywhere


def _coerced(value: Any, schema: Any) -> Any:
    """``value`` with text turned into the number or boolean its schema asks for."""
    if not isinstance(schema, Mapping):
        return value
    schema = cast("Mapping[str, Any]", schema)
    if isinstance(value, dict):
        given = without_nulls(cast("dict[str, Any]", value), schema)
        properties = schema.get("properties", {})
        return {name: _coerced(each, properties.get(name)) for name, each in given.items()}
    if isinstance(value, list):
        return [_coerced(each, schema.get("items")) for each in cast("list[Any]", value)]
    if isinstance(value, str | float):
        return _coerced_scalar(value, kinds(schema))
    return value


def _coerced_scalar(value: str | float, allowed: list[str]) -> Any:
    for each, target in (("integer", int), ("number", float), ("boolean", bool)):
        if each in allowed and "string" not in allowed:
            try:
                return msgspec.convert(value, target, strict=False)
            except (msgspec.ValidationError, ValueError):
                continue
    return value
