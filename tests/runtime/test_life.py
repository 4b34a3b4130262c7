import asyncio
import logging

import pytest

from flue_actors import create_agent, memory_store, sqlite
from flue_actors.definition.settings import Settings
from flue_actors.errors import ConfigError, DrainingError, InterruptedTurnError, UnknownAgentError
from flue_actors.events import Event, Idle, TurnRequest
from flue_actors.ids import AgentKey
from flue_actors.messages import SignalMessage
from flue_actors.runtime import Runtime
from flue_actors.storage import Admit, Claim, Submission
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
async def test_what_stop_cannot_wait_for_is_settled_as_interrupted(caplog: pytest.LogCaptureFixture) -> None:
    store = memory_store()
    runtime = Runtime({"agent": ECHO}, store=store, settings=Settings(drain_timeout=5))
    await runtime.start()
    running_one = await runtime.ref("agent", "u1").submit("hang")
    waiting_one = await runtime.ref("agent", "u1").submit("hello")
    await runtime.stop()
    for pending in (running_one, waiting_one):
        with pytest.raises(InterruptedTurnError):
            await pending.result()
    await store.open()
    assert await store.unsettled() == []


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


async def test_leftovers_of_a_crash_are_settled_and_the_model_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    store = memory_store()
    fence = await store.open()
    for number, claimed in ((1, True), (2, False)):
        row = Submission(
            id=f"sub_{number}",
            key=AgentKey("agent", "u1"),
            session="default",
            kind="direct",
            payload=b'{"kind":"prompt","message":"lost"}',
            accepted_at=1,
        )
        await store.commit(fence, Admit(row))
        if claimed:
            await store.commit(fence, Claim(submission_id=row.id, attempt=1, at=2))
    await store.close()
    async with running(ECHO, store=store) as runtime:
        for number in (1, 2):
            row = await store.submission(f"sub_{number}")
            assert row is not None
            assert (row.status, row.outcome) == ("settled", "failed")
            assert b'"interrupted"' in (row.error or b"")
        history = await runtime.ref("agent", "u1").history()
        assert [entry.message.type for entry in history if isinstance(entry.message, SignalMessage)] == [
            "submission_interrupted"
        ] * 2
        assert await runtime.ref("agent", "u1").prompt("hello")


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
