import dataclasses
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

from flue_actors import Tool, ToolContext, define_tool, tool
from flue_actors.errors import ConfigError, ToolArgumentsError


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Row(TypedDict):
    name: str


class Person(pydantic.BaseModel):
    name: str
    home: "Address | None" = None


class Address(pydantic.BaseModel):
    street: str


Person.model_rebuild()


def test_name_description_and_schema_come_from_the_function() -> None:
    @tool
    def find(
        customer: Annotated[str, msgspec.Meta(description="E-mail")],
        state: Literal["open", "shut"] = "open",
        n: int = 3,
    ) -> None:
        """Find orders.

        Newest first.
        """

    assert (find.name, find.spec.description) == ("find", "Find orders.\n\nNewest first.")
    schema = find.spec.parameters
    assert schema["type"] == "object"
    assert schema["required"] == ["customer"]
    assert schema["properties"]["customer"] == {"type": "string", "description": "E-mail"}
    assert schema["properties"]["n"] == {"type": "integer", "default": 3}


def test_a_decorated_function_can_still_be_called() -> None:
    @tool
    def double(n: int) -> int:
        """Double."""
        return 2 * n

    assert double(4) == 8


def test_the_context_parameter_is_not_the_models_business() -> None:
    @tool
    def look(n: int, context: ToolContext) -> None:
        """Look."""

    assert list(look.spec.parameters["properties"]) == ["n"]


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ({"n": "3", "x": "1.5", "yes": "true", "s": "a"}, {"n": 3, "x": 1.5, "yes": True, "s": "a"}),
        ({"n": 3, "x": 1, "yes": False, "s": ""}, {"n": 3, "x": 1.0, "yes": False, "s": ""}),
        ({"n": None, "x": None, "yes": None, "s": None}, {"n": 0, "x": 0.0, "yes": False, "s": ""}),
        ({"n": 1, "x": 1, "yes": True, "s": "a", "more": 1}, {"n": 1, "x": 1.0, "yes": True, "s": "a"}),
    ],
)
def test_arguments_are_converted_where_the_meaning_is_plain(given: dict[str, Any], bound: dict[str, Any]) -> None:
    @tool
    def take(n: int, x: float, yes: bool, s: str) -> None:
        """Take."""

    assert take.bind(given) == bound


def test_a_null_for_an_optional_parameter_means_left_out() -> None:
    @tool
    def take(n: int = 7, maybe: str | None = "x") -> None:
        """Take."""

    assert take.bind({"n": None, "maybe": None}) == {"n": 7, "maybe": None}


@pytest.mark.parametrize("given", [{}, {"n": "three"}, {"n": [1]}, {"n": {}}])
def test_arguments_that_do_not_fit_are_refused_and_shown(given: dict[str, Any]) -> None:
    @tool
    def take(n: int) -> None:
        """Take."""

    with pytest.raises(ToolArgumentsError) as error:
        take.bind(given)
    assert "take" in error.value.message
    assert msgspec.json.encode(given).decode() in error.value.message


def test_structured_parameters_arrive_as_their_types() -> None:
    @tool
    def draw(point: Point, rows: list[Row], person: Person) -> None:
        """Draw."""

    bound = draw.bind({"point": {"x": 1}, "rows": [{"name": "a"}], "person": {"name": "Ada", "home": {"street": "s"}}})
    assert bound["point"] == Point(1)
    assert bound["rows"] == [{"name": "a"}]
    assert bound["person"].home.street == "s"


def test_every_reference_in_a_schema_points_to_a_definition_at_its_top() -> None:
    @tool
    def draw(point: Point, person: Person) -> None:
        """Draw."""

    schema = draw.spec.parameters
    text = msgspec.json.encode(schema).decode()
    wanted = {part.split('"')[0] for part in text.split("#/$defs/")[1:]}
    assert wanted <= set(schema["$defs"])
    assert text.count('"$defs"') == 1


def test_a_mutable_default_is_never_shared() -> None:
    @tool
    def take(names: list[str] = ["a"]) -> None:  # noqa: B006
        """Take."""

    take.bind({})["names"].append("b")
    assert take.bind({})["names"] == ["a"]


def test_equal_code_with_other_defaults_is_another_schema() -> None:
    def make(default: int) -> Tool:
        @tool
        def take(n: int = default) -> None:
            """Take."""

        return take

    assert make(1).bind({}) == {"n": 1}
    assert make(2).bind({}) == {"n": 2}


def _no_hint(a) -> None:  # type: ignore[no-untyped-def]
    """Do."""


def _variadic(*args: int) -> None:
    """Do."""


def _silent(a: int) -> None:
    pass


@pytest.mark.parametrize("function", [_no_hint, _variadic, _silent, lambda: None])
def test_a_function_a_model_cannot_use_is_refused(function: Any) -> None:
    with pytest.raises(ConfigError):
        tool(function)


@pytest.mark.parametrize(
    "options", [{"name": "no spaces"}, {"description": " "}, {"timeout": 0}, {"timeout": float("inf")}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    def do() -> None:
        """Do."""

    with pytest.raises(ConfigError):
        tool(**options)(do)


SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 1},
        "deep": {"type": "object", "properties": {"yes": {"type": "boolean"}}},
        "list": {"type": "array", "items": {"type": "number"}},
    },
    "required": ["n"],
}


def raw(schema: dict[str, Any] = SCHEMA) -> Tool:
    return define_tool(name="raw", description="Raw.", parameters=schema, execute=lambda arguments: arguments)


def test_a_raw_schema_is_checked_and_converted_in_depth() -> None:
    bound = raw().bind({"n": "2", "deep": {"yes": "true"}, "list": ["1.5", 2]})
    assert bound == {"arguments": {"n": 2, "deep": {"yes": True}, "list": [1.5, 2]}}


@pytest.mark.parametrize("given", [{}, {"n": 0}, {"n": "x"}, {"n": 1, "list": 3}])
def test_a_raw_schema_refuses_what_does_not_fit(given: dict[str, Any]) -> None:
    with pytest.raises(ToolArgumentsError):
        raw().bind(given)


def test_a_raw_schema_has_to_be_an_objects() -> None:
    with pytest.raises(ConfigError):
        raw({"type": "array"})
