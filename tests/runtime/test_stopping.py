import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest

from flue_actors import AgentConfig, AgentContext, Principal, create_agent, memory_store, tool
from flue_actors.conversation.entries import message_entry
from flue_actors.definition.settings import Settings
from flue_actors.errors import (
    DrainingError,
    InterruptedTurnError,
    StoreUnavailableError,
)
from flue_actors.events import Event
from flue_actors.ids import AgentKey
from flue_actors.messages import AssistantMessage, ToolCall, ToolResultMessage, UserMessage, text_of
from flue_actors.runtime import Runtime
from flue_actors.storage import Admit, Append, Claim, Submission
from flue_actors.testing import ScriptedModel
from tests.conversation.build import reply, user
from tests.runtime.support import running, virtual_time

ECHO = create_agent(model="scripted/echo", instructions="Echo.")
SLOW = create_agent(model="scripted/echo?rate=1", instructions="Echo.")


@virtual_time
async def test_stop_lets_what_runs_finish() -> None:
    runtime = Runtime({"agent": SLOW})
    await runtime.start()
    pending = await runtime.ref("agent", "u1").submit("hello")
    await runtime.stop()
    assert (await pending.result()).text.startswith("echo: hello")


@virtual_time
async def test_a_turn_that_a_stop_finds_in_its_tools_records_them_and_asks_the_model_at_the_next_start() -> None:
    @tool
    async def nap() -> str:
        """Sleep."""
        await asyncio.sleep(5)
        return "rested"

    model = ScriptedModel([ToolCall(id="1", name="nap", arguments={}), "good morning"])
    agent = create_agent(model=model, instructions="", tools=[nap])
    store = memory_store()
    runtime = Runtime({"agent": agent}, store=store)
    await runtime.start()
    pending = await runtime.ref("agent", "u1").submit("sleep")
    await asyncio.sleep(1)
    await runtime.stop()
    with pytest.raises(InterruptedTurnError):
        await pending.result()
    assert len(model.requests) == 1
    async with running(agent, store=store) as again:
        ref = again.ref("agent", "u1")
        assert (await ref.wait(pending.submission_id)).text == "good morning"
        results = [entry.message for entry in await ref.history() if isinstance(entry.message, ToolResultMessage)]
    assert [text_of(each) for each in results] == ["rested"]


@virtual_time
async def test_what_stop_cannot_wait_for_goes_on_at_the_next_start() -> None:
    store = memory_store()
    runtime = Runtime({"agent": ECHO}, store=store, settings=Settings(drain_timeout=5))
    await runtime.start()
    pending = await runtime.ref("agent", "u1").submit("hang")
    await runtime.stop()
    with pytest.raises(InterruptedTurnError):
        await pending.result()
    async with running(create_agent(model=ScriptedModel(["back"]), instructions=""), store=store) as again:
        assert (await again.ref("agent", "u1").wait(pending)).text == "back"
        row = await store.submission(pending.submission_id)
        assert row is not None
        assert (row.attempt, row.excused) == (2, 1)


@virtual_time
async def test_what_was_accepted_and_not_begun_is_worked_on_at_the_next_start() -> None:
    store = memory_store()
    runtime = Runtime({"agent": ECHO}, store=store, settings=Settings(drain_timeout=5))
    await runtime.start()
    ref = runtime.ref("agent", "u1")
    hanging = await ref.submit("hang")
    waiting = [await ref.submit("one"), await ref.submit("two", principal=Principal("ada"))]
    receipt = await ref.dispatch({"n": 3})
    await runtime.stop()
    for each in waiting:
        with pytest.raises(InterruptedTurnError):
            await each.result()
    async with running(ECHO, store=store) as again:
        await again.ref("agent", "u1").abort_submission(hanging.submission_id)
        assert "(9 messages)" in (await again.ref("agent", "u1").prompt("last")).text
        row = await store.submission(receipt.submission_id)
        assert row is not None
        assert row.outcome == "completed"
        texts = [text_of(entry.message) for entry in await again.ref("agent", "u1").history()]
        assert [text for text in texts if text in {"one", "two"}] == ["one", "two"]


@virtual_time
async def test_a_second_stop_cuts_the_first_ones_patience_short() -> None:
    runtime = Runtime({"agent": ECHO}, settings=Settings(drain_timeout=1000))
    await runtime.start()
    pending = await runtime.ref("agent", "u1").submit("hang")
    stopping = asyncio.ensure_future(runtime.stop())
    await asyncio.sleep(1)
    await runtime.stop(timeout=0)
    assert stopping.done() or await stopping is None
    assert asyncio.get_running_loop().time() < 10
    with pytest.raises(InterruptedTurnError):
        await pending.result()


async def test_an_input_of_an_agent_that_is_gone_waits_for_it(caplog: pytest.LogCaptureFixture) -> None:
    store = memory_store()
    fence = await store.open()
    row = Submission(
        id="sub_1",
        key=AgentKey("gone", "u1"),
        session="default",
        kind="direct",
        payload=b'{"kind":"prompt","message":"hello"}',
        accepted_at=1,
    )
    await store.commit(fence, Admit(row))
    await store.close()
    async with running(ECHO, store=store):
        assert [each.id for each in await store.unsettled()] == ["sub_1"]
    async with Runtime({"gone": ECHO}, store=store) as runtime:
        assert "(3 messages)" in (await runtime.ref("gone", "u1").prompt("more")).text


@virtual_time
async def test_a_draining_runtime_takes_nothing_more() -> None:
    runtime = Runtime({"agent": SLOW})
    await runtime.start()
    ref = runtime.ref("agent", "u1")
    await ref.submit("hello")
    stopping = asyncio.ensure_future(runtime.stop())
    await asyncio.sleep(0.1)
    with pytest.raises(DrainingError):
        await ref.prompt("late")
    await stopping


async def test_a_turn_that_a_crash_cut_off_goes_on_behind_what_it_had_done() -> None:
    store = memory_store()
    fence = await store.open()
    key = AgentKey("agent", "u1")
    row = Submission(
        id="sub_1", key=key, session="default", kind="direct", payload=b'{"kind":"prompt","message":"x"}', accepted_at=1
    )
    asked = message_entry(1, user("pay"), "prompt", submission_id="sub_1")
    called = message_entry(2, reply("", "call_1"), "model", submission_id="sub_1")
    rows = Append(key=key, session="default", entries=(asked, called), submission_id="sub_1", attempt=1)
    await store.commit(fence, Admit(row), Claim(submission_id="sub_1", attempt=1, at=2), rows)
    await store.close()
    model = ScriptedModel(["ok"])
    async with running(create_agent(model=model, instructions=""), store=store) as runtime:
        assert (await runtime.ref("agent", "u1").wait("sub_1")).text == "ok"
    shown = model.requests[0].messages
    assert [type(each) for each in shown] == [UserMessage, AssistantMessage, ToolResultMessage]


async def test_a_raising_observer_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> None:
        raise ValueError("observer")

    async with running(ECHO) as runtime:
        runtime.observe(broken)
        assert await runtime.ref("agent", "u1").prompt("hello")


@virtual_time
async def test_stop_ends_although_a_tool_ignores_its_cancellation_and_keeps_the_input(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    over = asyncio.Event()

    @tool
    async def deaf() -> str:
        """Never listen."""
        while not over.is_set():
            with suppress(asyncio.CancelledError):
                await over.wait()
        return "late"

    store = memory_store()
    agent = create_agent(model="scripted/echo", instructions="", tools=[deaf])
    runtime = Runtime({"agent": agent}, store=store, settings=Settings(drain_timeout=1))
    await runtime.start()
    pending = await runtime.ref("agent", "u1").submit("call deaf {}")
    await asyncio.sleep(1)
    await runtime.stop()
    with pytest.raises(InterruptedTurnError):
        await pending.result()
    await store.open()
    assert [row.id for row in await store.unsettled()] == [pending.submission_id]
    over.set()


class BrokenStore:
    """A memory store that cannot say what an earlier process left."""

    def __init__(self) -> None:
        self._store = memory_store()

    async def unsettled(self) -> list[Submission]:
        raise StoreUnavailableError

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_a_start_that_fails_gives_the_store_back() -> None:
    store: Any = BrokenStore()
    with pytest.raises(StoreUnavailableError):
        await Runtime({"agent": ECHO}, store=store).start()
    with pytest.raises(StoreUnavailableError):
        await store.submission("sub_1")  # closed


async def test_a_model_client_that_cannot_be_closed_does_not_keep_the_store() -> None:
    class Broken(ScriptedModel):
        async def aclose(self) -> None:
            raise RuntimeError("the connection is gone")

    store = memory_store()
    runtime = Runtime({"agent": create_agent(model="own/x", instructions="")}, store=store)
    runtime.register_client("own", lambda: Broken(["hello"]))
    await runtime.start()
    await runtime.ref("agent", "u1").prompt("hi")
    with pytest.raises(RuntimeError):
        await runtime.stop()
    assert runtime.state == "stopped"
    with pytest.raises(StoreUnavailableError):
        await store.unsettled()


@virtual_time
async def test_a_stop_goes_on_without_the_one_who_asked_and_others_wait_for_its_end() -> None:
    runtime = Runtime({"agent": SLOW})
    await runtime.start()
    await runtime.ref("agent", "u1").submit("hello")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(runtime.stop(), 0.5)
    await runtime.stop()
    assert runtime.state == "stopped"


@virtual_time
async def test_a_stop_while_an_initializer_runs_keeps_the_input_for_the_next_start() -> None:
    @create_agent
    async def slow(ctx: AgentContext) -> AgentConfig:
        await asyncio.sleep(60)
        return AgentConfig(model="scripted/echo")

    store = memory_store()
    runtime = Runtime({"agent": slow}, store=store, settings=Settings(drain_timeout=5))
    await runtime.start()
    pending = await runtime.ref("agent", "u1").submit("kept")
    await asyncio.sleep(1)
    await runtime.stop()
    with pytest.raises(InterruptedTurnError):
        await pending.result()
    async with running(ECHO, store=store) as again:
        assert "(3 messages)" in (await again.ref("agent", "u1").prompt("next")).text
