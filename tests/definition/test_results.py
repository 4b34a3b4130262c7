"""Structured results: the shape that is wanted, and what is one of it."""

import dataclasses
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest

from flue_actors.definition.raw_schema import validator
from flue_actors.definition.results import ResultShape, result_shape
from flue_actors.errors import ConfigError, ToolArgumentsError


class Cat(msgspec.Struct):
    name: str
    lives: int = 9


@dataclasses.dataclass
class Dog:
    name: str


class Bird(TypedDict):
    name: str


class Fish(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=2)


class Home(msgspec.Struct):
    cats: list[Cat]
    first: Cat


SCHEMA: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@pytest.mark.parametrize(
    ("wanted", "made"),
    [
        (Cat, Cat("Tom")),
        (Dog, Dog("Tom")),
        (Bird, {"name": "Tom"}),
        (Fish, Fish(name="Tom")),
        (SCHEMA, {"name": "Tom"}),
    ],
)
def test_an_object_is_asked_for_as_it_is_and_made_into_what_was_wanted(wanted: Any, made: object) -> None:
    shape = ResultShape[Any](wanted)
    assert shape.parameters["type"] == "object"
    assert shape.convert(shape.unwrap({"name": "Tom"})) == made
    for wrong in ({"name": 3}, {}):
        with pytest.raises(ToolArgumentsError):
            shape.unwrap(wrong)


@pytest.mark.parametrize(
    ("wanted", "data", "wrong"),
    [(list[int], [1, 2], [1, "x"]), (int, 3, "3"), (str, "x", 3), (Cat | None, None, "x"), (bool, True, 1)],
)
def test_anything_else_is_wrapped_because_a_call_has_an_object_of_arguments(
    wanted: Any, data: object, wrong: object
) -> None:
    shape = ResultShape[Any](wanted)
    assert (shape.parameters["type"], shape.parameters["required"]) == ("object", ["result"])
    assert shape.convert(shape.unwrap({"result": data})) == data
    for arguments in ({"result": wrong}, {}, {"result": data, "more": 1}):
        with pytest.raises(ToolArgumentsError):
            shape.unwrap(arguments)


def test_what_is_nested_keeps_its_definitions_wrapped_or_not() -> None:
    home = {"cats": [{"name": "Tom"}], "first": {"name": "Kit", "lives": 3}}
    plain, wrapped = ResultShape(Home), ResultShape(list[Home])
    assert plain.convert(plain.unwrap(home)) == Home([Cat("Tom")], Cat("Kit", 3))
    assert wrapped.convert(wrapped.unwrap({"result": [home]})) == [Home([Cat("Tom")], Cat("Kit", 3))]
    with pytest.raises(ToolArgumentsError, match=r"0\.cats\.0\.lives"):
        wrapped.unwrap({"result": [{**home, "cats": [{"name": "Tom", "lives": "x"}]}]})


def test_what_json_schema_cannot_say_is_checked_all_the_same() -> None:
    shape = ResultShape(Fish)
    with pytest.raises(ToolArgumentsError):
        shape.unwrap({"name": "x"})


@pytest.mark.parametrize("wanted", [{"type": 3}, object(), lambda: None, set[object]])
def test_what_is_no_shape_is_refused_at_once(wanted: Any) -> None:
    with pytest.raises(ConfigError):
        result_shape(wanted)


TREE = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#"}}]}
STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "data", "not_that"),
    [
        (TREE, ["a", ["b"]], ["a", [1]]),
        ({"$ref": "#/definitions/Name", "definitions": {"Name": STRING}}, "a", 1),
        ({"$id": "https://example.com/name", "$ref": "#/$defs/Name", "$defs": {"Name": STRING}}, "a", 1),
        ({"$id": "https://example.com/n", "$ref": "https://example.com/n#/$defs/N", "$defs": {"N": STRING}}, "a", 1),
        ({"type": "array", "items": {"$ref": "#/items/anyOf/0", "anyOf": [STRING]}}, ["a"], [1]),
        ({"type": "array", "items": {"$ref": "#name"}, "$defs": {"N": {"$anchor": "name"} | STRING}}, ["a"], [1]),
        ({"type": "array", "items": {"properties": {"enum": {"$ref": "#"}}}}, [{"enum": []}], [{"enum": 1}]),
        ({"enum": [{"$ref": "#/nothing"}]}, {"$ref": "#/nothing"}, {}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "items": [STRING]}, ["a", 1], [1]),
    ],
)
def test_what_refers_to_itself_means_the_same_wrapped(schema: dict[str, Any], data: Any, not_that: Any) -> None:
    shape = ResultShape(schema)
    check = validator(shape.parameters)
    assert check.is_valid({"result": data})
    assert not check.is_valid({"result": not_that})
    assert shape.unwrap({"result": data}) == data


@pytest.mark.parametrize("reference", ["#/$defs/Nope", "#/anyOf/3", "#nope", "https://example.com/schema", "other"])
def test_what_refers_to_nothing_is_refused_at_once(reference: str) -> None:
    with pytest.raises(ConfigError, match="which is not in it"):
        ResultShape({"type": "object", "properties": {"a": {"$ref": reference}}, "$defs": {}, "anyOf": [{}]})
