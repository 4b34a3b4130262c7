"""A runtime under test: crashes, evictions, and what is left after them."""

import asyncio
import time

import pytest

from flue_actors import create_agent, tool
from flue_actors.agent_ref import DispatchReceipt
from flue_actors.clock import iso
from flue_actors.errors import FlueError, NotStartedError, StoreUnavailableError
from flue_actors.messages import text_of
from flue_actors.models.protocol import ModelRequest
from flue_actors.testing import FunctionModel, Machine, ScriptedModel, VirtualClock, calls, in_virtual_time

AGENT = create_agent(model="anthropic/claude-haiku-4-5", instructions="")


async def answer_count(request: ModelRequest) -> str:
    return f"{len(request.messages)} messages"


async def never(_: ModelRequest) -> str:
    await asyncio.Event().wait()
    return "never"


@in_virtual_time
async def test_a_conversation_survives_a_crash() -> None:
    async with Machine({"agent": AGENT}, models=FunctionModel(answer_count)) as machine:
        assert (await machine.ref("agent", "u1").prompt("one")).text == "1 messages"
        await machine.crash()
        await machine.restart()
        assert (await machine.ref("agent", "u1").prompt("two")).text == "3 messages"


@in_virtual_time
async def test_what_a_crash_cut_off_goes_on_after_the_restart() -> None:
    async with Machine({"agent": AGENT}, models=ScriptedModel([never, "at last"])) as machine:
        receipt = await machine.runtime.dispatch("agent", id="u1", input="hi")
        await asyncio.sleep(1)
        await machine.restart()
        assert (await machine.ref("agent", "u1").wait(receipt)).text == "at last"


@in_virtual_time
async def test_nothing_is_written_after_a_crash_and_the_runtime_is_gone() -> None:
    async with Machine({"agent": AGENT}, models=FunctionModel(never)) as machine:
        submitted = await machine.ref("agent", "u1").submit("hi")
        await asyncio.sleep(1)
        assert machine.process is not None
        before = machine.process.commits
        await machine.crash()
        assert machine.process.commits == before
        with pytest.raises(NotStartedError):
            machine.ref("agent", "u1")
        await machine.store.open()
        row = await machine.store.submission(submitted.submission_id)
        assert row is not None
        assert row.outcome is None


@in_virtual_time
async def test_an_input_is_answered_exactly_once_whichever_commit_the_process_dies_at() -> None:
    for commit in range(1, 5):
        machine = Machine({"agent": AGENT}, models=FunctionModel(lambda _: "done"))
        async with machine:
            await machine.restart(dies_after=commit)
            receipt = await accepted(machine)
            await asyncio.sleep(1)
            await machine.restart()
            if receipt is not None:
                assert (await machine.ref("agent", "u1").wait(receipt)).text == "done"
                history = [text_of(entry.message) for entry in await machine.ref("agent", "u1").history()]
                assert history.count("done") == 1


@in_virtual_time
async def test_the_commit_a_process_dies_at_is_kept_and_it_never_hears_of_that() -> None:
    async with Machine({"agent": AGENT}, models=ScriptedModel(["done"])) as machine:
        await machine.restart(dies_after=1)
        with pytest.raises(FlueError):
            await machine.runtime.dispatch("agent", id="u1", input="hi")
        await machine.restart()
        await asyncio.sleep(1)
        assert len(await machine.ref("agent", "u1").history()) == 2


@in_virtual_time
async def test_a_disk_that_is_full_refuses_one_commit_and_takes_the_next() -> None:
    async with Machine({"agent": AGENT}, models=ScriptedModel(["done"])) as machine:
        await machine.restart(fails_at=frozenset({1}))
        with pytest.raises(StoreUnavailableError):
            await machine.runtime.dispatch("agent", id="u1", input="lost")
        assert (await machine.ref("agent", "u1").prompt("kept")).text == "done"
        assert len(await machine.ref("agent", "u1").history()) == 2


async def accepted(machine: Machine) -> DispatchReceipt | None:
    try:
        return await machine.runtime.dispatch("agent", id="u1", input="hi")
    except FlueError:  # it died before it could say so
        return None


@in_virtual_time
async def test_an_evicted_instance_goes_on_from_what_the_store_has() -> None:
    async with Machine({"agent": AGENT}, models=FunctionModel(answer_count)) as machine:
        ref = machine.ref("agent", "u1")
        await ref.prompt("one")
        assert len(machine.runtime.snapshot().actors.actors) == 1
        await machine.evict(ref)
        assert machine.runtime.snapshot().actors.actors == ()
        assert (await ref.prompt("two")).text == "3 messages"


@in_virtual_time
async def test_an_instance_at_work_is_evicted_once_it_is_done() -> None:
    async def slowly(_: ModelRequest) -> str:
        await asyncio.sleep(5)
        return "done"

    async with Machine({"agent": AGENT}, models=FunctionModel(slowly)) as machine:
        ref = machine.ref("agent", "u1")
        submitted = await ref.submit("one", watch=True)
        await asyncio.sleep(1)
        await machine.evict(ref)
        assert (await ref.wait(submitted)).text == "done"


@in_virtual_time
async def test_an_instance_that_never_rests_cannot_be_evicted() -> None:
    async with Machine({"agent": AGENT}, models=FunctionModel(never)) as machine:
        ref = machine.ref("agent", "u1")
        await ref.submit("one")
        await asyncio.sleep(1)
        with pytest.raises(TimeoutError):
            await machine.evict(ref)


@in_virtual_time
async def test_a_sync_tool_takes_real_time_and_meets_no_virtual_timeout() -> None:
    @tool
    def slow() -> str:
        """Take a moment."""
        time.sleep(0.1)
        return "done"

    agent = create_agent(model="anthropic/claude-haiku-4-5", instructions="", tools=[slow])
    model = ScriptedModel([calls("slow"), lambda request: text_of(request.messages[-1])])
    async with Machine({"agent": agent}, models=model) as machine:
        assert (await machine.ref("agent", "u1").prompt("go")).text == "done"


@in_virtual_time
async def test_timestamps_come_from_the_clock_of_the_machine() -> None:
    clock = VirtualClock()
    async with Machine({"agent": AGENT}, models=ScriptedModel(["a", "b"]), clock=clock) as machine:
        await machine.ref("agent", "u1").prompt("one")
        clock.advance(3600)
        await machine.ref("agent", "u1").prompt("two")
        stamps = [iso(entry.message.timestamp) for entry in await machine.ref("agent", "u1").history()]
    assert stamps[0] == stamps[1] == "2026-01-01T12:00:00.000Z"
    assert stamps[2] == "2026-01-01T13:00:00.000Z"


@in_virtual_time
async def test_ids_are_the_same_in_every_run() -> None:
    async def ids() -> list[str]:
        async with Machine({"agent": AGENT}, models=ScriptedModel(["a", "b"])) as machine:
            first = await machine.ref("agent", "u1").submit("one")
            await machine.restart()
            second = await machine.ref("agent", "u1").submit("two")
            return [first.submission_id, second.submission_id]

    first = await ids()
    assert first == await ids()
    assert len(set(first)) == 2


async def test_it_works_on_a_loop_in_real_time_as_well() -> None:
    async with Machine({"agent": AGENT}, models=FunctionModel(answer_count)) as machine:
        assert (await machine.ref("agent", "u1").prompt("one")).text == "1 messages"


@in_virtual_time
async def test_an_agent_can_be_replaced_at_a_restart() -> None:
    async with Machine({"agent": AGENT}, models=ScriptedModel(["old"])) as machine:
        await machine.ref("agent", "u1").prompt("one")
        await machine.restart({"agent": AGENT, "other": AGENT}, models=ScriptedModel(["new"]))
        assert (await machine.ref("other", "u1").prompt("two")).text == "new"
