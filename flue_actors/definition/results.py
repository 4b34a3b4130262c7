"""Structured results: the shape that is wanted, as a JSON schema, and a model's data checked against it. Pure."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

import msgspec

from flue_actors.definition.raw_schema import validator
from flue_actors.definition.references import check_references, wrapped
from flue_actors.definition.schema import from_json_value, schema_of_type
from flue_actors.errors import ConfigError, ToolArgumentsError

R = TypeVar("R")

_WRAPPED = "result"


class ResultShape(Generic[R]):
    """The shape of a result: a msgspec Struct, dataclass, TypedDict, pydantic model or any type of these; or a JSON schema.

    Attributes:
        schema: What the data has to be an instance of.
        size: Bytes of that.

    Raises:
        ConfigError: Not a JSON schema, or a type that JSON cannot express.
    """

    __slots__ = ("_check", "_type", "schema", "size")

    def __init__(self, wanted: "type[R] | Mapping[str, Any]") -> None:
        if isinstance(wanted, Mapping):
            self._type: Any = None
            self.schema = dict(wanted)
        else:
            self._type = wanted
            self.schema = schema_of_type(wanted)
        self._check = validator(self.schema)
        self.size = len(msgspec.json.encode(self.schema))
        check_references(self.schema)

    @property
    def parameters(self) -> dict[str, Any]:
        """The schema as a tool's parameters, which have to be an object's: anything else is wrapped."""
        return wrapped(self.schema, _WRAPPED) if self._wraps else self.schema

    def unwrap(self, arguments: dict[str, Any]) -> Any:
        """The data in a call with these `parameters`.

        Raises:
            ToolArgumentsError: It does not have the shape; the message is for the model.
        """
        if self._wraps and arguments.keys() != {_WRAPPED}:
            raise ToolArgumentsError(f'The result has to be given as "{_WRAPPED}", and nothing else.')
        return self.checked(arguments[_WRAPPED] if self._wraps else arguments)

    def checked(self, data: Any) -> Any:
        """The data, which is JSON.

        Raises:
            ToolArgumentsError: It does not have the shape; the message is for the model.
        """
        from jsonschema import exceptions

        problem = cast("Any", exceptions.best_match)(self._check.iter_errors(data))
        if problem is not None:
            where = ".".join(str(part) for part in problem.absolute_path)
            said = f"{where}: {problem.message}" if where else problem.message
            raise ToolArgumentsError(f"The result does not have the requested shape: {said}")
        self.convert(data)
        return data

    def convert(self, data: Any) -> R:
        """The data as the type that was asked for; as it is, where that was a schema.

        Raises:
            ToolArgumentsError: The type does not take it.
        """
        if self._type is None:
            return data
        try:
            return from_json_value(self._type, data)
        except (msgspec.ValidationError, ValueError) as error:
            raise ToolArgumentsError(f"The result does not have the requested shape: {error}") from error

    @property
    def _wraps(self) -> bool:
        return self.schema.get("type") != "object"


def result_shape(wanted: Any) -> ResultShape[Any]:
    """The shape, which has to be one that JSON can express. Raises ConfigError."""
    try:
        return ResultShape(wanted)
    except ConfigError as error:
        raise ConfigError(f"The result: {error.message}", details=error.details) from error
