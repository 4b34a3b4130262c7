import enum
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from flue_actors.models.result_schema import MAX_PROPERTIES, native_schema
from tests.messages_api.validation import refusal


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Part(msgspec.Struct):
    name: str
    count: Annotated[int, msgspec.Meta(ge=1, le=10, description="How many.")]
    colour: Colour | None = None


class Order(msgspec.Struct):
    parts: list[Part]
    urgent: bool = False
    note: str | None = None
    kind: Literal["new", "repeat", 3] = "new"


class Tree(msgspec.Struct):
    children: list["Tree"]


@dataclass
class Point:
    x: float
    y: float


class Movie(TypedDict):
    title: str
    year: int


class Invoice(BaseModel):
    number: str = Field(pattern="^[0-9]+$", description="Digits.")
    lines: list[str] = Field(max_length=5)
    paid: bool | None = None


def _of(type: Any) -> dict[str, Any]:
    return msgspec.json.schema(type)


def _native(schema: dict[str, Any]) -> dict[str, Any]:
    adapted = native_schema(schema)
    assert adapted is not None
    return adapted


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize("schema", [_of(Order), _of(Point), _of(Movie), Invoice.model_json_schema()])
def test_usual_results_can_be_promised(schema: dict[str, Any]) -> None:
    adapted = _native(schema)
    format = {"type": "json_schema", "schema": adapted}
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
    assert refusal(body | {"output_config": {"format": format}}) is None
    assert native_schema(adapted) == adapted


def test_objects_are_closed_and_ask_for_everything() -> None:
    assert _native(_of(Point)) == {
        "type": "object",
        "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
        "required": ["x", "y"],
        "additionalProperties": False,
    }


def test_limits_become_words() -> None:
    part = _native(_of(Order))["properties"]["parts"]["items"]["properties"]
    assert part["count"] == {"type": "integer", "description": "How many. (minimum: 1, maximum: 10)"}
    assert _native(_object(code={"type": "string", "pattern": "a+"}))["properties"]["code"] == {
        "type": "string",
        "description": "(pattern: a+)",
    }


def test_choices_and_enumerations_have_their_types() -> None:
    properties = _native(_of(Order))["properties"]
    assert properties["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert properties["kind"] == {
        "anyOf": [{"type": "integer", "enum": [3]}, {"type": "string", "enum": ["new", "repeat"]}]
    }
    assert _native(_object(a={"type": ["string", "null"], "maxLength": 3}))["properties"]["a"] == {
        "anyOf": [{"type": "string"}, {"type": "null"}],
        "description": "(maxLength: 3)",
    }


def test_formats_that_providers_know_stay() -> None:
    adapted = _native(_object(at={"type": "string", "format": "date"}, by={"type": "string", "format": "decimal"}))
    assert adapted["properties"]["at"] == {"type": "string", "format": "date"}
    assert adapted["properties"]["by"] == {"type": "string", "description": "(format: decimal)"}


def test_a_reference_with_words_beside_it_keeps_them() -> None:
    schema = _object(a={"$ref": "#/$defs/A", "description": "The first."}) | {"$defs": {"A": {"type": "string"}}}
    assert _native(schema)["properties"]["a"] == {"type": "string", "description": "The first."}


@pytest.mark.parametrize(
    "schema",
    [
        _of(Tree),
        _of(dict[str, int]),
        _of(list[int]),
        _of(int),
        _object(a={}),
        _object(a=True),
        _object(a=_of(tuple[int, str])),
        _object(a=_of(dict[str, int])),
        _object(a={"type": "object"}),
        _object(a={"type": "array"}),
        _object(a={"enum": [[1]]}),
        _object(a={"enum": []}),
        _object(a={"$ref": "#/$defs/Nowhere"}),
        _object(a={"$ref": "#"}),
        _object(a={"$ref": "#/$defs/A"}) | {"$defs": {"A": {"$ref": "#/$defs/A"}}},
        _object(a={"$ref": "#/$defs/A"}) | {"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}}},
        _object(a={"allOf": [{"type": "string"}, {"type": "string"}]}),
        _object(a={"type": "string", "not": {"const": "x"}}),
        {"anyOf": [_object(a={"type": "string"}), _object(b={"type": "string"})]},
        _object(a={"type": "string"}) | {"additionalProperties": True},
        _object(**{f"p{number}": {"type": "string"} for number in range(MAX_PROPERTIES + 1)}),
        _object(a=_object(b=_object(c=_object(d=_object(e=_object(f={"type": "string"})))))),
        _object(**{f"p{number}": {"type": ["string", "null"]} for number in range(17)}),
        _object(a={"enum": list(range(501))}),
    ],
)
def test_what_providers_would_refuse_or_nobody_could_mean_is_not_native(schema: dict[str, Any]) -> None:
    assert native_schema(schema) is None


def test_the_given_schema_is_left_alone() -> None:
    schema = _of(Order)
    before = msgspec.json.encode(schema)
    native_schema(schema)
    assert msgspec.json.encode(schema) == before


_LEAVES = st.sampled_from(
    [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"enum": ["a", 1, None]}, {"const": "x"}]
)
_SCHEMAS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(lambda options: {"oneOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda properties, closed: _object(**properties) | ({"additionalProperties": False} if closed else {}),
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            st.booleans(),
        ),
    ),
    max_leaves=8,
)


def _example(schema: dict[str, Any], pick: st.DataObject) -> Any:
    """An instance of an adapted schema."""
    if "anyOf" in schema:
        return _example(pick.draw(st.sampled_from(schema["anyOf"])), pick)
    if "enum" in schema:
        return pick.draw(st.sampled_from(schema["enum"]))
    match schema["type"]:
        case "object":
            return {name: _example(part, pick) for name, part in schema["properties"].items()}
        case "array":
            return [_example(schema["items"], pick)]
        case kind:
            return {"string": "s", "integer": 7, "number": 0.5, "boolean": True, "null": None}[kind]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_SCHEMAS, st.data())
def test_an_instance_of_the_adapted_schema_is_one_of_the_given(inner: dict[str, Any], data: st.DataObject) -> None:
    given = _object(value=inner)
    adapted = native_schema(given)
    if adapted is None:
        return
    anything_of = msgspec.json.decode(msgspec.json.encode(given).replace(b"oneOf", b"anyOf"))
    jsonschema.validate(_example(adapted, data), anything_of)
    assert native_schema(adapted) == adapted
