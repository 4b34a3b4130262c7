"""Structured results: the shape that is wanted, and what is one of it."""

import dataclasses
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest

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
