import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest

from flue_actors import AgentConfig, AgentContext, Principal, create_agent, memory_store, sqlite, tool
from flue_actors.conversation.entries import message_entry
from flue_actors.definition.settings import Settings
from flue_actors.errors import (
    ConfigError,
    DrainingError,
    InternalError,
    InterruptedTurnError,
    ReaderTooSlowError,
    StoreUnavailableError,
    UnknownAgentError,
)
from flue_actors.events import Event, Idle, TurnRequest
from flue_actors.ids import AgentKey
from flue_actors.messages import AssistantMessage, SignalMessage, ToolResultMessage, UserMessage, text_of
from flue_actors.models.scripted import ScriptedModel
from flue_actors.runtime import Runtime
from flue_actors.storage import Admit, Append, Claim, Submission
from tests.conversation.build import reply, user
from tests.runtime.support import kinds, running, virtual_time, watch

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
async def test_what_stop_cannot_wait_for_is_settled_as_interrupted_and_the_model_is_told() -> None:
    store = memory_store()
    runtime = Runtime({"agent": ECHO}, store=store, settings=Settings(drain_timeout=5))
    await runtime.start()
    pending = await runtime.ref("agent", "u1").submit("hang")
    await runtime.stop()
    with pytest.raises(InterruptedTurnError):
        await pending.result()
    async with running(ECHO, store=store) as again:
        history = await again.ref("agent", "u1").history()
        assert [type(entry.message) for entry in history] == [UserMessage, SignalMessage]


@virtual_time
async def test_what_was_accepted_and_not_begun_is_worked_on_at_the_next_start() -> None:
    store = memory_store()
    runtime = Runtime({"agent": ECHO}, store=store, settings=Settings(drain_timeout=5))
    await runtime.start()
    ref = runtime.ref("agent", "u1")
    await ref.submit("hang")
    waiting = [await ref.submit("one"), await ref.submit("two", principal=Principal("ada"))]
    receipt = await ref.dispatch({"n": 3})
    await runtime.stop()
    for each in waiting:
        with pytest.raises(InterruptedTurnError, match="before it began"):
            await each.result()
    async with running(ECHO, store=store) as again:
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


async def test_a_runtime_starts_once() -> None:
    async with running(ECHO) as runtime:
        with pytest.raises(ConfigError):
            await runtime.start()


async def test_a_turn_that_a_crash_cut_off_is_settled_and_the_model_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
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
        settled = await store.submission("sub_1")
        assert settled is not None
        assert (settled.status, settled.outcome) == ("settled", "failed")
        assert b'"interrupted"' in (settled.error or b"")
        await runtime.ref("agent", "u1").prompt("and?")
    shown = model.requests[0].messages
    assert [type(each) for each in shown] == [
        UserMessage,
        AssistantMessage,
        ToolResultMessage,
        SignalMessage,
        UserMessage,
    ]
    assert "outcome is unknown" in text_of(shown[2])


async def test_observers_see_what_is_not_public_and_the_feed_does_not() -> None:
    seen: list[Event] = []
    async with running(ECHO) as runtime:
        stop = runtime.observe(seen.append)
        shown = await watch(runtime.ref("agent", "u1"), "hello")
        stop()
        await runtime.ref("agent", "u1").prompt("unseen")
    (observed,) = [event for event in seen if isinstance(event, TurnRequest)]
    (public,) = [event for event in shown if isinstance(event, TurnRequest)]
    assert observed.input
    assert not public.input
    assert sum(isinstance(event, Idle) for event in seen) == 1


async def test_a_raising_observer_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> None:
        raise ValueError("observer")

    async with running(ECHO) as runtime:
        runtime.observe(broken)
        assert await runtime.ref("agent", "u1").prompt("hello")


async def test_full_events_show_the_whole_message_at_every_step() -> None:
    full = create_agent(model="scripted/echo?size=4", instructions="Secret words.", public_events="full")
    async with running(full) as runtime:
        events = await watch(runtime.ref("agent", "u1"), "hello")
    assert "message_update" in kinds(events)
    (request,) = [event for event in events if isinstance(event, TurnRequest)]
    assert "Secret words." in request.input.system_prompt  # type: ignore[union-attr]


async def test_redefined_agents_answer_the_next_message() -> None:
    async with running(ECHO) as runtime:
        await runtime.ref("agent", "u1").prompt("hello")
        runtime.redefine({"agent": create_agent(model="scripted/jokes", instructions="")})
        assert not (await runtime.ref("agent", "u1").prompt("hello")).text.startswith("echo")


async def test_an_agent_that_is_gone_is_unknown() -> None:
    async with running(ECHO) as runtime:
        runtime.redefine({"other": ECHO})
        with pytest.raises(UnknownAgentError):
            runtime.ref("agent", "u1")


async def test_an_alias_reaches_the_same_conversation() -> None:
    agent = create_agent(model="scripted/echo", name="renamed", aliases=["old-name"])
    async with Runtime({"file": agent}) as runtime:
        await runtime.ref("old-name", "u1").prompt("one")
        assert "(3 messages)" in (await runtime.ref("renamed", "u1").prompt("two")).text


async def test_two_agents_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError):
        Runtime(
            {"a": create_agent(model="scripted/echo", name="x"), "b": create_agent(model="scripted/echo", name="x")}
        )


async def test_idle_instances_hold_nothing_live() -> None:
    async with running(ECHO) as runtime:
        for number in range(50):
            await runtime.ref("agent", f"u{number}").prompt("hello")
        snapshot = runtime.snapshot()
    assert (snapshot.pending, snapshot.instances, snapshot.actors.running) == (0, 0, 0)


@virtual_time
async def test_idle_instances_leave_memory_and_come_back_with_their_history() -> None:
    async with running(ECHO, settings=Settings(passivate_after=60)) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("one")
        await asyncio.sleep(120)
        assert runtime.snapshot().actors.actors == ()
        assert "(3 messages)" in (await ref.prompt("two")).text


async def test_two_runtimes_in_one_process_do_not_meet(tmp_path: object) -> None:
    async with running(ECHO) as one, running(ECHO) as other:
        await one.ref("agent", "u1").prompt("hello")
        assert "(1 messages)" in (await other.ref("agent", "u1").prompt("hello")).text


async def test_the_conversation_survives_in_a_file(tmp_path: object) -> None:
    for expected in ("(1 messages)", "(3 messages)"):
        async with running(ECHO, store=sqlite(f"{tmp_path}/x.db")) as runtime:
            assert expected in (await runtime.ref("agent", "u1").prompt("hello")).text


@virtual_time
async def test_stop_settles_even_what_ignores_its_cancellation(caplog: pytest.LogCaptureFixture) -> None:
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
    assert await store.unsettled() == []
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
async def test_an_initializer_that_hangs_fails_its_input_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)

    @create_agent
    async def agent(ctx: AgentContext) -> AgentConfig:
        if not hung:
            hung.append(True)
            await asyncio.Event().wait()
        return AgentConfig(model="scripted/echo", instructions="")

    hung: list[bool] = []
    async with running(agent) as runtime:
        with pytest.raises(InternalError):
            await runtime.ref("agent", "u1").prompt("one")
        assert "two" in (await runtime.ref("agent", "u1").prompt("two")).text


async def test_an_observer_that_leaves_takes_nothing_from_the_others() -> None:
    async with running(ECHO) as runtime:
        seen: list[Event] = []
        leave = runtime.observe(lambda _: leave())
        runtime.observe(seen.append)
        await runtime.ref("agent", "u1").prompt("hello")
    assert [event.event_index for event in seen] == list(range(len(seen)))


async def test_observing_twice_and_leaving_twice_are_told_apart() -> None:
    async with running(ECHO) as runtime:
        seen: list[Event] = []
        leave = runtime.observe(seen.append)
        runtime.observe(seen.append)
        leave()
        leave()
        await runtime.ref("agent", "u1").prompt("hello")
    assert sum(isinstance(event, Idle) for event in seen) == 1


async def test_a_stream_that_lost_events_says_so() -> None:
    paced = create_agent(model="scripted/paced?deltas=9000&rate=0&size=1", instructions="")
    async with running(paced) as runtime:
        with pytest.raises(ReaderTooSlowError):
            await watch(runtime.ref("agent", "u1"), "hello")


@virtual_time
async def test_a_sender_who_left_while_it_was_accepted_is_not_kept_as_a_reader() -> None:
    agent = create_agent(model="scripted/echo", instructions="", concurrency="session")
    store = memory_store()
    async with running(agent, store=store) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("so that its sessions run side by side")
        await ref.session("busy").submit("hang")
        sending = asyncio.ensure_future(ref.session("left").submit("hello", watch=True))
        await asyncio.sleep(0)
        (_, left) = await store.unsettled()
        sending.cancel()
        await asyncio.sleep(10)
        live = runtime.live(AgentKey("agent", "u1"))
        assert [row.session for row in await store.unsettled()] == ["busy"]
        assert live is not None
        assert not live.feed.is_watched(left.id)


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
    with pytest.raises(InterruptedTurnError, match="before it began"):
        await pending.result()
    async with running(ECHO, store=store) as again:
        assert "(3 messages)" in (await again.ref("agent", "u1").prompt("next")).text


async def test_claims_that_are_not_json_are_the_applications_error_and_nothing_is_admitted() -> None:
    async with running(ECHO) as runtime:
        with pytest.raises(ConfigError, match="claims"):
            await runtime.ref("agent", "u1").prompt("hi", principal=Principal("ada", claims={"now": object()}))
        assert runtime.snapshot().pending == 0
