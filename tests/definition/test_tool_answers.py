"""From a call to the text that the model is shown."""

import dataclasses
import functools
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors import Principal, Tool, ToolContext, define_tool, tool
from flue_actors.definition.tools import TOOL_TEXT_LIMIT, shown_text
from flue_actors.errors import ToolError
from flue_actors.ids import AgentKey


class Point(msgspec.Struct):
    x: int


@dataclasses.dataclass
class Row:
    name: str


class Person(pydantic.BaseModel):
    name: str


class Blocking:
    """Stands in for the pool of threads; counts what it was given."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, function: Callable[[], Any]) -> Any:
        self.calls += 1
        return function()


def context(**more: Any) -> ToolContext:
    return ToolContext(tool_call_id="call_1", tool="t", agent=AgentKey("a", "u1"), session="default", **more)


async def run(called: Tool, blocking: Blocking | None = None, **arguments: Any) -> str:
    """The text the model is shown."""
    answer = await called.execute(called.bind(arguments), context(), blocking or Blocking())
    return shown_text(answer.text)


def answering(value: Any) -> Tool:
    async def execute(arguments: dict[str, Any]) -> Any:
        return value

    return define_tool(name="answer", description="Answers.", parameters={}, execute=execute)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ("", ""),
        (None, ""),
        (True, "true"),
        (3, "3"),
        (10**30, "1" + "0" * 30),
        ({"a": [1, None, "é"]}, '{"a":[1,null,"é"]}'),
        ({1: 2}, '{"1":2}'),
        ((1, 2), "[1,2]"),
        (Point(1), '{"x":1}'),
        ([Row("n")], '[{"name":"n"}]'),
        ({"who": Person(name="Ada")}, '{"who":{"name":"Ada"}}'),
        ("half a pair: \ud800", "half a pair: ?"),
        (["\ud800"], '["?"]'),
    ],
)
async def test_text_stays_text_and_the_rest_becomes_json(value: Any, text: str) -> None:
    assert await run(answering(value)) == text


def cycle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    "value",
    [b"x", bytearray(b"x"), [b"x"], float("nan"), {"a": [float("inf")]}, cycle(), object(), {(1, 2): 3}, 1j, len],
    ids=["bytes", "bytearray", "bytes within", "NaN", "infinity", "cycle", "object", "odd key", "complex", "function"],
)
async def test_what_is_not_json_is_an_error_for_the_model(value: Any) -> None:
    with pytest.raises(ToolError):
        await run(answering(value))


async def test_text_of_the_limit_is_shown_whole() -> None:
    text = "x" * TOOL_TEXT_LIMIT
    assert await run(answering(text)) == text


@given(st.text(st.sampled_from("aé€😀"), min_size=1, max_size=5))
async def test_longer_text_is_cut_between_characters_with_a_mark(pattern: str) -> None:
    text = pattern * (2 * TOOL_TEXT_LIMIT // len(pattern.encode()))
    shown, mark = (await run(answering(text))).split("\n[cut: ")
    assert text.startswith(shown)
    assert TOOL_TEXT_LIMIT - 4 < len(shown.encode()) <= TOOL_TEXT_LIMIT
    assert str(len(text.encode())) in mark


async def test_json_is_cut_too() -> None:
    assert len((await run(answering(["x" * TOOL_TEXT_LIMIT]))).encode()) < TOOL_TEXT_LIMIT + 100


async def test_an_async_tool_runs_here_and_a_plain_one_where_blocking_is_allowed() -> None:
    @tool
    async def here() -> str:
        """Here."""
        return "here"

    @tool
    def there() -> str:
        """There."""
        return "there"

    blocking = Blocking()
    assert (await run(here, blocking), blocking.calls) == ("here", 0)
    assert (await run(there, blocking), blocking.calls) == ("there", 1)


async def test_an_awaitable_from_a_plain_function_is_awaited() -> None:
    async def work(n: int) -> int:
        """Work."""
        return n + 1

    assert await run(tool(name="work", description="Work.")(functools.partial(work, 1))) == "2"

    @tool
    def later(n: int) -> Any:
        """Later."""
        return work(n)

    assert await run(later, n=1) == "2"


async def test_a_callable_object_may_be_a_tool() -> None:
    class Adder:
        async def __call__(self, n: int) -> int:
            return n + 1

    assert await run(tool(name="add", description="Add one.")(Adder()), n="1") == "2"


async def test_what_the_function_raises_is_raised() -> None:
    @tool
    def fail() -> None:
        """Fail."""
        raise LookupError("no such ticket")

    with pytest.raises(LookupError, match="no such ticket"):
        await run(fail)


async def test_the_context_is_handed_in_wherever_it_stands() -> None:
    seen: list[ToolContext | None] = []

    @tool
    async def look(a: int, ctx: ToolContext, b: int = 2) -> None:
        """Look."""
        seen.append(ctx)

    @tool
    async def glance(*, where: ToolContext | None = None) -> None:
        """Glance."""
        seen.append(where)

    async def peek(arguments: dict[str, Any], ctx: ToolContext) -> None:
        seen.append(ctx)

    raw = define_tool(name="peek", description="Peek.", parameters={}, execute=peek)
    given = context(principal=Principal("ada"))
    for each, arguments in ((look, {"a": 1}), (glance, {}), (raw, {})):
        assert "ctx" not in each.spec.parameters.get("properties", {})
        assert "where" not in each.spec.parameters.get("properties", {})
        await each.execute(each.bind(arguments), given, Blocking())
    assert seen == [given, given, given]


def test_a_context_tells_what_the_call_is_and_passes_on_what_is_logged() -> None:
    logged: list[tuple[Any, ...]] = []
    ctx = context(log=lambda *entry: logged.append(entry))
    ctx.log.info("one", n=1)
    ctx.log.warning("two")
    ctx.log.error("three")
    assert logged == [("info", "one", {"n": 1}), ("warn", "two", {}), ("error", "three", {})]
    assert (ctx.tool_call_id, str(ctx.agent), ctx.session, ctx.principal) == ("call_1", "a/u1", "default", None)


def test_a_thread_sees_that_its_call_was_cancelled() -> None:
    ctx, seen, cancelled = context(), [], threading.Event()

    def work() -> None:
        seen.append(ctx.cancelled)
        cancelled.wait(5)
        seen.append(ctx.cancelled)

    thread = threading.Thread(target=work)
    thread.start()
    ctx.cancel()
    cancelled.set()
    thread.join()
    assert seen[-1] is True
