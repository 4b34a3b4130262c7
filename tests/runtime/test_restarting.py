"""Everything an earlier process left, together: its order, its pace, and who comes meanwhile."""

import asyncio
import logging
from typing import Any

import pytest

from flue_actors import Durability, create_agent, memory_store
from flue_actors.errors import QueueFullError
from flue_actors.intake.backlog import AT_ONCE
from flue_actors.messages import UserMessage, text_of
from flue_actors.runtime import Runtime
from tests.runtime.machine import machine, texts
from tests.runtime.support import virtual_time
from tests.runtime.test_backlog_order import cut_off

ECHO = create_agent(model="scripted/echo", instructions="Echo.")


class SetClock:
    """A wall clock that says what it is told to say."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@virtual_time
async def test_what_was_left_is_worked_on_in_the_order_of_acceptance_and_before_what_is_new() -> None:
    async with machine(ECHO) as one:
        ref = (await one.start()).ref("agent", "u1")
        for text in ("wait 50", "one", "two"):
            await ref.submit(text)
        await ref.dispatch("three")
        await asyncio.sleep(1)
        ref = (await one.restart()).ref("agent", "u1")
        await ref.prompt("new")
        said = [text for text in await texts(ref) if not text.startswith("echo:")]
        assert said == ["wait 50", "one", "two", '"three"', "new"]


@virtual_time
async def test_of_a_reply_that_comes_fast_no_more_than_eight_kilobytes_are_lost() -> None:
    fast = create_agent(model="scripted/paced?deltas=100&size=1000&rate=100", instructions="")
    async with machine(fast) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.submit("go")
        await asyncio.sleep(0.5)
        ref = (await one.restart(create_agent(model="scripted/echo", instructions=""))).ref("agent", "u1")
        await asyncio.sleep(0.1)
        assert len((await texts(ref))[1]) >= 50_000 - 9_000


@virtual_time
async def test_two_sessions_that_were_cut_off_go_on_each_by_itself() -> None:
    lanes = create_agent(model="scripted/echo", instructions="", concurrency="session")
    async with machine(lanes) as one:
        ref = (await one.start()).ref("agent", "u1")
        sent = [await ref.session(name).submit("wait 50") for name in ("a", "b")]
        await asyncio.sleep(1)
        ref = (await one.restart()).ref("agent", "u1")
        for each in sent:
            assert (await ref.wait(each.submission_id)).text.startswith("echo: wait 50")
        for name in ("a", "b"):
            history = [entry.message for entry in await ref.session(name).history()]
            assert [text_of(each) for each in history if isinstance(each, UserMessage)] == ["wait 50"]


@virtual_time
async def test_what_was_left_counts_as_waiting() -> None:
    agent = create_agent(model="scripted/echo", instructions="", max_queued=3)
    async with machine(agent) as one:
        ref = (await one.start()).ref("agent", "u1")
        for _ in range(3):
            await ref.submit("wait 50")
        await asyncio.sleep(1)
        runtime = await one.restart()
        ref = runtime.ref("agent", "u1")
        assert runtime.snapshot().pending == 3
        await asyncio.sleep(1)
        with pytest.raises(QueueFullError):
            await ref.submit("one too many")


@virtual_time
async def test_of_two_hundred_instances_only_so_many_go_on_at_once() -> None:
    store = memory_store()
    await cut_off(store, *["wait 5"] * 200)
    async with Runtime({"agent": ECHO}, store=store) as runtime:
        assert runtime.snapshot().pending == 200
        most = 0
        while runtime.snapshot().pending:
            busy = [await runtime.ref("agent", f"u{n}").status() for n in range(200)]
            most = max(most, sum(each.state == "running" for each in busy))
            await asyncio.sleep(0.5)
        assert most == AT_ONCE
        rows = [await store.submission(f"sub_{number}") for number in range(200)]
        assert {None if row is None else row.outcome for row in rows} == {"completed"}


@virtual_time
@pytest.mark.parametrize("hours", [-10_000, -1, 1, 10_000])
async def test_a_clock_that_jumps_while_the_server_is_down_changes_no_outcome(hours: int) -> None:
    agent: Any = create_agent(model="scripted/echo", instructions="", durability=Durability(timeout=100))
    noon = 1_900_000_000_000
    async with machine(agent) as one:
        ref = (await one.start(clock=SetClock(noon))).ref("agent", "u1")
        sent = [await ref.submit("wait 50"), await ref.submit("two")]
        await asyncio.sleep(1)
        ref = (await one.restart(clock=SetClock(noon + hours * 3_600_000))).ref("agent", "u1")
        told = [(await ref.wait(each.submission_id)).text for each in sent]
        assert [text[:9] for text in told] == ["echo: wai", "echo: two"]
        assert [text for text in await texts(ref) if not text.startswith("echo:")] == ["wait 50", "two"]


@virtual_time
async def test_a_clock_that_jumps_during_the_work_does_not_end_it() -> None:
    clock = SetClock(1_900_000_000_000)
    agent = create_agent(model="scripted/echo", instructions="", durability=Durability(timeout=100))
    async with machine(agent) as one:
        pending = await (await one.start(clock=clock)).ref("agent", "u1").submit("wait 50")
        await asyncio.sleep(1)
        clock.ms += 365 * 86_400_000
        assert (await pending.result()).text.startswith("echo: wait 50")
