"""A blocked event loop is noticed while it is blocked, and the log says by whom."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from flue_actors import AgentConfig, AgentContext, create_agent, tool
from flue_actors.definition.settings import Settings
from tests.runtime.support import running

QUICK = Settings(stall_warning=0.02)
DEADLINE = 10.0


class Reports(logging.Handler):
    """What the watchdog said; `wait` blocks until it said something."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._first = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self._first.set()

    def wait(self) -> None:
        """Block this thread, which is the point of these tests."""
        assert self._first.wait(DEADLINE)


@contextmanager
def listening() -> Generator[Reports]:
    reports, logger = Reports(), logging.getLogger("flue_actors.watchdog")
    logger.addHandler(reports)
    try:
        yield reports
    finally:
        logger.removeHandler(reports)


async def test_a_tool_that_blocks_the_loop_is_named() -> None:
    with listening() as reports:

        @tool
        async def knead() -> str:
            """Block."""
            reports.wait()
            return "done"

        agent = create_agent(model="scripted/echo", instructions="", tools=[knead])
        async with running(agent, settings=QUICK) as runtime:
            await runtime.ref("agent", "u1").prompt("call knead")
    (said, *_) = reports.said
    assert said.startswith('the tool "knead" blocks the event loop')
    assert __file__ in said


async def test_an_initializer_that_blocks_the_loop_is_named() -> None:
    with listening() as reports:

        @create_agent
        def agent(ctx: AgentContext) -> AgentConfig:
            reports.wait()
            return AgentConfig(model="scripted/echo")

        async with running(agent, settings=QUICK) as runtime:
            await runtime.ref("agent", "u1").prompt("hello")
    assert reports.said[0].startswith('the initializer of agent "agent" blocks')


async def test_an_observer_that_blocks_the_loop_is_called_one() -> None:
    with listening() as reports:

        def observe(_: Any) -> None:
            reports.wait()

        async with running(create_agent(model="scripted/echo", instructions=""), settings=QUICK) as runtime:
            runtime.observe(observe)
            await runtime.ref("agent", "u1").prompt("hello")
    assert reports.said[0].startswith("an observer blocks")


async def test_one_stall_is_reported_once() -> None:
    with listening() as reports:

        @tool
        async def knead() -> str:
            """Block for several thresholds."""
            reports.wait()
            threading.Event().wait(3 * QUICK.stall_warning)
            return "done"

        agent = create_agent(model="scripted/echo", instructions="", tools=[knead])
        async with running(agent, settings=QUICK) as runtime:
            await runtime.ref("agent", "u1").prompt("call knead")
    assert len([said for said in reports.said if '"knead"' in said]) == 1


async def test_a_tool_in_a_thread_may_take_as_long_as_it_likes() -> None:
    released = threading.Event()
    with listening() as reports:

        @tool
        def wait() -> str:
            """Block a thread for several thresholds."""
            released.wait(3 * QUICK.stall_warning)
            return "done"

        agent = create_agent(model="scripted/echo", instructions="", tools=[wait])
        async with running(agent, settings=QUICK) as runtime:
            await runtime.ref("agent", "u1").prompt("call wait")
    assert not [said for said in reports.said if '"wait"' in said]


@pytest.mark.parametrize("seconds", [0, 1])
async def test_the_watchdog_leaves_with_its_runtime(seconds: float) -> None:
    def watching() -> int:
        return sum(thread.name == "flue-actors-watchdog" for thread in threading.enumerate())

    before = watching()
    agent = create_agent(model="scripted/echo", instructions="")
    async with running(agent, settings=Settings(stall_warning=seconds)):
        assert watching() - before == seconds
    for thread in threading.enumerate():
        if thread.name == "flue-actors-watchdog" and watching() > before:
            thread.join(DEADLINE)
    assert watching() == before
