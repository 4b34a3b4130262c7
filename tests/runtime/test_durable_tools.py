"""Tools that were interrupted: which run again, which steps do not, and what the model is told of the others."""

import asyncio
import threading
from typing import Any, cast

import pytest

from flue_actors import Tool, ToolContext, create_agent, memory_store, tool
from flue_actors.conversation.entries import is_message, read_message
from flue_actors.definition.settings import Settings
from flue_actors.events import Event, ToolCallEnd
from flue_actors.messages import ToolResultMessage, text_of
from flue_actors.runtime import Runtime
from flue_actors.storage import Append, Committed, Fence, Op, Store, WriteJournal
from tests.runtime.support import running

IMPATIENT = Settings(drain_timeout=0)


class Stage:
    """Holds a tool up in its first run, and counts what ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.reached = asyncio.Event()

    async def hold(self) -> None:
        """Hang, the first time."""
        if not self.reached.is_set():
            self.reached.set()
            await asyncio.Event().wait()


def agent_with(*tools: Tool) -> Any:
    return create_agent(model="scripted/echo", instructions="Use tools.", tools=tools)


async def interrupted(agent: Any, message: str, stage: Stage) -> Store:
    """The store after a turn that was cut off while its tool hung."""
    store = memory_store()
    async with running(agent, store=store, settings=IMPATIENT) as runtime:
        await runtime.ref("agent", "u1").submit(message)
        await stage.reached.wait()
    return store


async def results(runtime: Runtime) -> list[ToolResultMessage]:
    """The results in the history once everything that was left is done."""
    ref = runtime.ref("agent", "u1")
    await ref.prompt("and then?")
    return [entry.message for entry in await ref.history() if isinstance(entry.message, ToolResultMessage)]


def shown(found: list[ToolResultMessage]) -> list[str]:
    return [text_of(each) for each in found]


async def test_a_recorded_step_is_not_run_again_and_gives_what_it_gave() -> None:
    stage = Stage()

    @tool(durable=True)
    async def build(context: ToolContext) -> str:
        """Build in two steps."""

        async def first() -> str:
            stage.ran.append("first")
            return f"first {len(stage.ran)}"

        async def second() -> str:
            stage.ran.append("second")
            await stage.hold()
            return "second"

        return f"{await context.step.do('one', first)} and {await context.step.do('two', second)}"

    store = await interrupted(agent_with(build), "call build", stage)
    async with running(agent_with(build), store=store) as runtime:
        assert shown(await results(runtime)) == ["first 1 and second"]
    assert stage.ran == ["first", "second", "second"]


async def test_a_step_of_a_tool_in_a_thread_is_recorded_too() -> None:
    stage, loop, over = Stage(), asyncio.get_running_loop(), threading.Event()

    @tool(durable=True)
    def build(context: ToolContext) -> Any:
        """Build in a thread."""
        value = context.step.do_sync("one", lambda: stage.ran.append("one") or [len(stage.ran)])
        if not stage.reached.is_set():
            loop.call_soon_threadsafe(stage.reached.set)
            over.wait(10)
        return value

    store = await interrupted(agent_with(build), "call build", stage)
    over.set()
    async with running(agent_with(build), store=store) as runtime:
        assert shown(await results(runtime)) == ["[1]"]
    assert stage.ran == ["one"]


async def test_an_idempotent_tool_runs_again_under_the_same_call_id() -> None:
    stage = Stage()

    @tool(idempotent=True)
    async def look(context: ToolContext) -> str:
        """Look."""
        stage.ran.append(context.tool_call_id)
        await stage.hold()
        return "seen"

    store = await interrupted(agent_with(look), "call look", stage)
    async with running(agent_with(look), store=store) as runtime:
        assert shown(await results(runtime)) == ["seen"]
    assert len(stage.ran) == 2
    assert len(set(stage.ran)) == 1


async def test_any_other_tool_does_not_run_again_and_the_model_is_told() -> None:
    stage = Stage()

    @tool
    async def post() -> str:
        """Post."""
        stage.ran.append("post")
        await stage.hold()
        return "posted"

    store = await interrupted(agent_with(post), "call post", stage)
    async with running(agent_with(post), store=store) as runtime:
        (found,) = await results(runtime)
    assert stage.ran == ["post"]
    assert found.is_error
    assert "outcome is unknown" in text_of(found)


async def test_a_result_that_was_recorded_stays_when_the_call_beside_it_was_interrupted() -> None:
    stage = Stage()

    @tool
    async def post() -> str:
        """Post at once."""
        stage.ran.append("post")
        return "posted"

    @tool(idempotent=True)
    async def look() -> str:
        """Hang."""
        stage.ran.append("look")
        await stage.hold()
        return "seen"

    store = memory_store()
    agent = agent_with(post, look)
    async with running(agent, store=store, settings=IMPATIENT) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.submit("call look\ncall post")
        while not [entry for entry in await ref.history() if isinstance(entry.message, ToolResultMessage)]:
            await asyncio.sleep(0)
    async with running(agent, store=store) as runtime:
        assert sorted(shown(await results(runtime))) == ["posted", "seen"]
    assert sorted(stage.ran) == ["look", "look", "post"]


async def test_an_interrupted_call_of_a_tool_that_was_removed_says_so() -> None:
    stage = Stage()

    @tool(idempotent=True)
    async def look() -> str:
        """Look."""
        await stage.hold()
        return "seen"

    store = await interrupted(agent_with(look), "call look", stage)
    async with running(agent_with(), store=store) as runtime:
        (found,) = await results(runtime)
    assert found.is_error
    assert text_of(found).startswith('tool_removed: the tool "look"')


async def test_a_tool_that_answered_before_and_was_removed_is_told_apart_from_one_that_never_was() -> None:
    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    store = memory_store()
    async with running(agent_with(look), store=store) as runtime:
        await runtime.ref("agent", "u1").prompt("call look\ncall fly")
    async with running(agent_with(), store=store) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("call look")
        await ref.prompt("call fly")
        found = [entry.message for entry in await ref.history() if isinstance(entry.message, ToolResultMessage)]
    assert text_of(found[2]).startswith('tool_removed: the tool "look"')
    assert text_of(found[3]).startswith('There is no tool named "fly"')


class Slow:
    """A memory store that notes what is durable."""

    def __init__(self, log: list[str]) -> None:
        self._store = memory_store()
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, fence: Fence, *ops: Op) -> "asyncio.Future[Committed]":
        """Durable a few turns of the loop later."""
        return asyncio.ensure_future(self._commit(fence, ops))

    async def _commit(self, fence: Fence, ops: tuple[Op, ...]) -> Committed:
        done = await self._store.commit(fence, *ops)
        for _ in range(5):
            await asyncio.sleep(0)
        self._log.extend([entry for op in ops if isinstance(op, Append) for entry in _results_in(op)])
        self._log.extend(["step stored" for op in ops if isinstance(op, WriteJournal) and op.kind == "step"])
        return done


def _results_in(op: Append) -> list[str]:
    messages = [read_message(entry).message for entry in op.entries if is_message(entry)]
    return ["result stored" for message in messages if isinstance(message, ToolResultMessage)]


async def test_a_step_is_stored_before_the_tool_goes_on_and_a_result_before_its_event_leaves() -> None:
    log: list[str] = []

    @tool(durable=True)
    async def build(context: ToolContext) -> str:
        """Build."""
        await context.step.do("one", lambda: 1)
        log.append("step done")
        return "built"

    def observe(event: Event) -> None:
        if isinstance(event, ToolCallEnd):
            log.append("result shown")

    async with running(agent_with(build), store=cast("Store", Slow(log))) as runtime:
        runtime.observe(observe)
        await runtime.ref("agent", "u1").prompt("call build")
    assert log == ["step stored", "step done", "result stored", "result shown"]


async def results_of(*tools: Tool, message: str) -> list[str]:
    async with running(agent_with(*tools)) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt(message)
        return shown([each.message for each in await ref.history() if isinstance(each.message, ToolResultMessage)])


async def test_the_steps_of_a_tool_that_is_not_durable_are_refused_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @tool
    async def build(context: ToolContext) -> str:
        """Build."""
        return await context.step.do("one", lambda: "1")

    assert await results_of(build, message="call build") == ["The tool failed (ConfigError)."]
    assert "is not durable" in caplog.text
