"""Steps of durable tools, one call at a time."""

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from flue_actors import ToolContext, define_tool, tool
from flue_actors.definition.steps import ToolSteps
from flue_actors.errors import ConfigError, ToolError
from flue_actors.ids import AgentKey


class Journal:
    """Keeps what is recorded; ``recorded`` is what earlier runs left."""

    def __init__(self, recorded: Mapping[str, bytes] | None = None) -> None:
        self.recorded = dict(recorded or {})
        self.written: dict[str, bytes] = {}

    async def write(self, name: str, body: bytes) -> None:
        """Record."""
        await asyncio.sleep(0)
        self.written[name] = body


async def in_thread(function: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(function)


def steps(journal: Journal) -> ToolSteps:
    return ToolSteps("call_1", journal, in_thread)


class Point(msgspec.Struct):
    x: int


@pytest.mark.parametrize(("value", "seen"), [((1, 2), [1, 2]), (Point(3), {"x": 3}), ("é", "é"), (None, None)])
async def test_a_step_gives_what_its_json_says_the_first_time_and_again(value: Any, seen: Any) -> None:
    journal = Journal()
    assert await steps(journal).do("one", lambda: value) == seen
    assert list(journal.written) == ["call_1/one"]

    def never() -> None:
        raise AssertionError

    assert await steps(Journal(journal.written)).do("one", never) == seen
    assert await asyncio.to_thread(steps(Journal(journal.written)).do_sync, "one", never) == seen


@pytest.mark.parametrize("value", [float("nan"), b"bytes", object(), "\ud800"])
async def test_a_value_that_is_no_json_is_an_error_that_names_the_step(value: Any) -> None:
    journal = Journal()
    with pytest.raises(ToolError, match='"one"'):
        await steps(journal).do("one", lambda: value)
    assert journal.written == {}


async def test_a_step_that_raised_is_not_recorded_and_may_be_tried_again() -> None:
    journal = Journal()
    answers = iter([ValueError("no")])

    async def fail() -> str:
        for error in answers:
            raise error
        return "yes"

    call = steps(journal)
    with pytest.raises(ValueError, match="no"):
        await call.do("one", fail)
    assert journal.written == {}
    assert await call.do("one", fail) == "yes"


async def test_a_name_is_used_once_in_a_call() -> None:
    call = steps(Journal())
    await call.do("one", lambda: 1)
    with pytest.raises(ConfigError, match="twice"):
        await call.do("one", lambda: 2)
    with pytest.raises(ConfigError, match="name"):
        await call.do("", lambda: 2)


async def test_do_sync_is_refused_on_the_loop() -> None:
    with pytest.raises(ConfigError, match="await"):
        steps(Journal()).do_sync("one", lambda: 1)


async def test_nothing_is_recorded_once_nobody_waits_for_the_call() -> None:
    journal = Journal()
    call = steps(journal)

    async def late() -> int:
        call.close()
        return 1

    with pytest.raises(ToolError, match="Nobody waits"):
        await call.do("one", late)
    with pytest.raises(ToolError, match="Nobody waits"):
        await call.do("two", late)
    assert journal.written == {}


async def test_a_thread_that_waits_for_its_record_is_let_go_when_the_call_is_given_up() -> None:
    begun = asyncio.Event()

    class Stuck(Journal):
        async def write(self, name: str, body: bytes) -> None:
            begun.set()
            await asyncio.Event().wait()

    call = steps(Stuck())
    waiting = asyncio.ensure_future(asyncio.to_thread(functools.partial(call.do_sync, "one", lambda: 1)))
    await begun.wait()
    call.close()
    with pytest.raises(ToolError, match="Nobody waits"):
        await waiting


def test_a_tool_that_is_not_durable_has_no_steps() -> None:
    context = ToolContext(tool_call_id="c", tool="post", agent=AgentKey("a", "u"), session="default")
    with pytest.raises(ConfigError, match='"post" is not durable'):
        _ = context.step


def test_durable_and_idempotent_tools_run_again_and_others_do_not() -> None:
    def post() -> None:
        """Post."""

    def execute(arguments: dict[str, Any]) -> None:
        """Post."""

    assert not tool(post).reruns
    assert tool(durable=True)(post).reruns
    assert tool(idempotent=True)(post).reruns
    made = define_tool(name="post", description="Post.", parameters={}, execute=execute, durable=True)
    assert (made.durable, made.idempotent) == (True, False)


def test_durable_and_idempotent_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="leave out idempotent"):

        @tool(durable=True, idempotent=True)
        def post() -> None:
            """Post."""
