"""What a tool's definition says to the model, and definitions that are refused."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pytest

from flue_actors import Tool, ToolContext, define_tool, tool
from flue_actors.errors import ConfigError, ToolArgumentsError


class Person(pydantic.BaseModel):
    age: int


class Options(msgspec.Struct):
    deep: bool = False


def test_the_argument_lines_of_a_docstring_go_to_the_parameters() -> None:
    @tool
    def find(customer: str, limit: int = 10, *, ctx: ToolContext | None = None) -> list[str]:
        """Find a customer's orders.

        Newest first.

        Args:
            customer: E-mail address
                or number.
            limit (int): At most so many.
            ctx: Nobody's business.

        Returns:
            Order numbers.
        """
        return [customer][:limit]

    assert find.spec.description == "Find a customer's orders.\n\nNewest first."
    assert find.spec.parameters["properties"] == {
        "customer": {"type": "string", "description": "E-mail address or number."},
        "limit": {"type": "integer", "default": 10, "description": "At most so many."},
    }


def test_a_description_of_the_type_wins_over_the_docstrings() -> None:
    @tool
    def take(n: "int" = 1, person: Person | None = None) -> None:
        """Take.

        Args:
            n: From the docstring.
            person: Who.
        """

    assert take.spec.parameters["properties"]["n"]["description"] == "From the docstring."
    assert take.spec.parameters["properties"]["person"]["description"] == "Who."


def test_a_docstring_without_argument_lines_is_the_description_as_it_stands() -> None:
    @tool
    def take() -> None:
        """Take it: no Args: here.

        - one
        """

    assert take.spec.description == "Take it: no Args: here.\n\n- one"


def test_a_description_of_its_own_replaces_the_docstring() -> None:
    @tool(name="grab", description="Grab it.", timeout=3)
    def take() -> None:
        """Take."""

    assert (take.name, take.spec.description, take.timeout) == ("grab", "Grab it.", 3)


def test_functions_wrapped_by_one_decorator_keep_their_own_schemas() -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @tool
    @logged
    def one(n: int) -> int:
        """Count."""
        return n

    @tool
    @logged
    def two(n: int = 5) -> int:
        """Count."""
        return n

    assert one.spec.parameters["required"] == ["n"]
    assert two.bind({}) == {"n": 5}


def test_a_method_is_a_tool_of_its_object() -> None:
    class Desk:
        def answer(self, n: int) -> int:
            """Answer."""
            return n

    bound = tool(Desk().answer)
    assert bound.bind({"n": "1"}) == {"n": 1}
    with pytest.raises(ConfigError, match='"self"'):
        tool(Desk.answer)


def test_a_default_may_be_a_struct() -> None:
    @tool
    def take(options: Options = Options()) -> None:  # noqa: B008
        """Take."""

    assert take.bind({})["options"] == Options()
    assert take.bind({"options": {"deep": "true"}})["options"] == Options(deep=True)


def test_what_pydantic_refuses_is_told_without_its_links() -> None:
    @tool
    def take(person: Person) -> None:
        """Take."""

    with pytest.raises(ToolArgumentsError) as error:
        take.bind({"person": {"age": "old"}})
    assert "age: Input should be a valid integer" in error.value.message
    assert '{"person":{"age":"old"}}' in error.value.message
    assert "http" not in error.value.message


@pytest.mark.parametrize("kind", ["annotated", "raw"])
def test_long_arguments_are_not_shown_in_full(kind: str) -> None:
    @tool
    def take(n: int) -> None:
        """Take."""

    raw = define_tool(
        name="take", description="Take.", parameters={"properties": {"n": {"type": "integer"}}}, execute=print
    )
    with pytest.raises(ToolArgumentsError) as error:
        (take if kind == "annotated" else raw).bind({"n": "x" * 100_000})
    assert len(error.value.message) < 5_000


@pytest.mark.parametrize("value", ["\ud800", "1e999", "", "0x10", [], {}])
def test_rubbish_for_a_number_is_refused_by_both_kinds_of_schemas(value: Any) -> None:
    @tool
    def take(n: int) -> None:
        """Take."""

    raw = define_tool(
        name="take", description="Take.", parameters={"properties": {"n": {"type": "integer"}}}, execute=print
    )
    for each in (take, raw):
        with pytest.raises(ToolArgumentsError) as error:
            each.bind({"n": value})
        error.value.message.encode()


@pytest.mark.parametrize(
    ("schema", "given", "bound"),
    [
        ({"type": "integer"}, "3", 3),
        ({"type": "integer"}, 3.0, 3),
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "boolean"}, "false", False),
        ({"type": ["integer", "null"]}, "4", 4),
        ({"type": ["integer", "null"]}, None, None),
        ({"type": ["integer", "string"]}, "4", "4"),
        ({"type": "string"}, "4", "4"),
        ({"enum": [1, None]}, None, None),
        ({}, "4", "4"),
        ({"type": "array", "items": {"type": "integer"}}, ["1", 2], [1, 2]),
    ],
)
def test_a_raw_schemas_values_are_converted_where_the_meaning_is_plain(
    schema: dict[str, Any], given: Any, bound: Any
) -> None:
    raw = define_tool(
        name="raw",
        description="Raw.",
        parameters={"type": "object", "properties": {"v": schema}, "required": ["v"]},
        execute=lambda arguments: arguments,
    )
    assert raw.bind({"v": given}) == {"arguments": {"v": bound}}


@pytest.mark.parametrize(
    ("schema", "bound"),
    [
        ({"type": "string"}, ""),
        ({"type": "integer"}, 0),
        ({"type": "number"}, 0),
        ({"type": "boolean"}, False),
        ({"type": ["integer", "string"]}, 0),
        (True, None),
        ({"oneOf": [{"type": "null"}, {"type": "integer"}]}, None),
        ({"anyOf": [{"type": "integer"}, True]}, None),
    ],
)
def test_null_for_a_required_field_is_its_types_empty_value_where_null_is_not_allowed(schema: Any, bound: Any) -> None:
    raw = define_tool(
        name="raw",
        description="Raw.",
        parameters={"properties": {"v": schema}, "required": ["v"]},
        execute=lambda arguments: arguments,
    )
    assert raw.bind({"v": None}) == {"arguments": {"v": bound}}


def test_binding_leaves_the_models_arguments_alone() -> None:
    raw = define_tool(
        name="raw", description="Raw.", parameters={"properties": {"v": {"type": "integer"}}}, execute=print
    )
    given: dict[str, Any] = {"v": "3", "deep": {"x": [None]}}
    raw.bind(given)
    assert given == {"v": "3", "deep": {"x": [None]}}


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "objekt"},
        {"type": "object", "properties": []},
        {"properties": {"v": {"type": "strnig"}}},
        {"properties": {"v": object()}},
        [],
        None,
    ],
)
def test_what_is_no_schema_of_an_object_is_refused_when_it_is_defined(parameters: Any) -> None:
    with pytest.raises(ConfigError, match='"raw"'):
        define_tool(name="raw", description="Raw.", parameters=parameters, execute=print)


@pytest.mark.parametrize("execute", [None, lambda: None])
def test_execute_has_to_take_the_arguments(execute: Any) -> None:
    with pytest.raises(ConfigError, match='"raw"'):
        define_tool(name="raw", description="Raw.", parameters={}, execute=execute)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_schema_is_never_fetched_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text("{}")
    remote = {"properties": {"v": {"$ref": (tmp_path / "schema.json").as_uri()}}}
    raw = define_tool(name="raw", description="Raw.", parameters=remote, execute=print)
    with pytest.raises(Exception, match="Unresolvable"):
        raw.bind({"v": 1})


def test_approval_is_a_flag_or_a_function() -> None:
    make: Any = tool
    with pytest.raises(ConfigError, match="approval"):
        make(name="t", description="d", approval="always")(lambda: None)


def test_an_unknown_option_is_refused_and_the_nearest_one_named() -> None:
    make: Any = tool
    with pytest.raises(ConfigError, match='"timeout"'):
        make(timeuot=3)


def test_a_refused_function_is_named() -> None:
    def careless(a) -> None:  # type: ignore[no-untyped-def]
        """Do."""

    with pytest.raises(ConfigError, match=r'Tool "careless": Parameter "a"'):
        tool(careless)


def test_tools_of_two_ids_share_their_schema_and_nothing_else() -> None:
    def make(id: str) -> Tool:
        @tool
        def who(loud: bool = False) -> str:
            """Say whose tool this is."""
            return id

        return who

    one, two = make("one"), make("two")
    assert one.spec == two.spec
    assert (one(), two()) == ("one", "two")
