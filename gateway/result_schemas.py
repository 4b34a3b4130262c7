"""Result schemas that come over the wire: which are taken. Pure.

Whoever may prompt an agent chooses the schema, and data of a model is checked against it in this process. So what a few
bytes can make expensive is refused: regular expressions, items that are compared each with each (3,000 of them: 16 s),
schemas that refer to themselves or multiply by reference. (A program that embeds the runtime may use all of JSON Schema.)
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import msgspec

from flue_actors.definition.results import result_shape
from flue_actors.errors import ConfigError, InvalidRequestError

MAX_BYTES: Final = 16 * 1024
"""Checking that it is a schema takes up to 60 ms, most of them for its parts."""

MAX_DEPTH: Final = 32
MAX_PARTS: Final = 200
"""Schemas inside a schema, each counted as often as it is referred to."""

_REFUSED: Final = frozenset(
    {
        "pattern",
        "patternProperties",
        "uniqueItems",
        "unevaluatedItems",
        "unevaluatedProperties",
        "$dynamicRef",
        "$recursiveRef",
        "$id",
    }
)
_DRAFTS: Final = ("https://json-schema.org/draft/20", "http://json-schema.org/draft-07/")
_NAMED: Final = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
_DATA: Final = frozenset({"enum", "const", "default", "examples"})


def check_result_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as it was sent.

    Raises:
        InvalidRequestError: It is no JSON schema, or one that is not taken from outside; the message says why.
    """
    if len(msgspec.json.encode(schema)) > MAX_BYTES:
        raise _refusal(f"it is larger than {MAX_BYTES // 1024} KiB")
    if not str(schema.get("$schema", _DRAFTS[0])).startswith(_DRAFTS):
        raise _refusal('"$schema" is older than draft 7')
    _Count(schema).parts(schema, 0)
    try:
        result_shape(schema)
    except ConfigError as error:
        raise InvalidRequestError(error.message, details="Send a JSON schema as the result.") from None
    return schema


class _Count:
    """Counts the schemas inside of a schema, references followed."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._count = 0

    def parts(self, schema: Any, depth: int) -> None:
        """Count this one and those in it. Raises InvalidRequestError."""
        if not isinstance(schema, dict):
            return
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_PARTS:
            raise _refusal("it nests too deep, refers to itself or has too many parts")
        for each in self._inside(cast("dict[str, Any]", schema)):
            self.parts(each, depth + 1)

    def _inside(self, schema: dict[str, Any]) -> Iterator[Any]:
        for keyword, value in schema.items():
            if keyword in _REFUSED:
                raise _refusal(f'"{keyword}" is not taken from outside')
            if keyword == "$ref":
                yield self._target(value)
            elif keyword in _NAMED and isinstance(value, Mapping):
                yield from cast("Mapping[str, Any]", value).values()
            elif keyword not in _DATA:
                yield from cast("list[Any]", value) if isinstance(value, list) else (value,)

    def _target(self, reference: Any) -> Any:
        found: Any = self._root
        for step in str(reference).split("/")[1:]:
            inside = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
            found = inside.get(step.replace("~1", "/").replace("~0", "~"))
        if found is None or not str(reference).startswith("#"):
            raise _refusal(f'"$ref" names nothing in it: {str(reference)[:80]}')
        return found


def _refusal(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"The result's schema is not taken: {why}.", details="Send a simpler schema.")
