"""A conversation with tools, a steer, a merge and an abort, disturbed at every moment there is: it comes out whole."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

import pytest

from flue_actors import Durability, create_agent, tool
from flue_actors.agent_ref import IfBusy, Submitted
from flue_actors.conversation.entries import is_message, read_message
from flue_actors.errors import FlueError
from flue_actors.messages import UserMessage, text_of
from flue_actors.models.protocol import ModelEvent, ModelRequest
from flue_actors.models.scripted import ScriptedProvider
from flue_actors.runtime import Runtime
from flue_actors.storage import Submission
from tests.faults.validity import context_problems, history_problems
from tests.runtime.machine import U1, Machine, machine
from tests.runtime.support import virtual_time

P = ParamSpec("P")
T = TypeVar("T")


class Strict(ScriptedProvider):
    """A provider that refuses what real ones would refuse, and makes sure that somebody hears of it."""

    def __init__(self, refused: list[str]) -> None:
        super().__init__()
        self._refused = refused

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        self._refused += context_problems(request.messages)
        async for event in super().stream(request):
            yield event


@tool
async def nap(seconds: float = 2) -> str:
    """Sleep."""
    await asyncio.sleep(seconds)
    return "rested"


@tool(idempotent=True)
async def look() -> str:
    """Look."""
    await asyncio.sleep(1)
    return "seen"


AGENT = create_agent(
    model="strict/echo?rate=4&size=4",
    instructions="",
    tools=[nap, look],
    durability=Durability(attempts=100),
)
SCRIPT: tuple[tuple[str, IfBusy], ...] = (
    ("call nap\ncall look", "queue"),
    ("join", "steer"),
    ("one", "merge"),
    ("two", "merge"),
    ("call nap\nthen\ncall look", "queue"),
    ("wait 60", "queue"),
)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@asynccontextmanager
async def strict_machine() -> AsyncGenerator[Machine]:
    """A machine whose model has to be asked properly."""
    refused: list[str] = []
    client = Strict(refused)
    async with machine(AGENT, before=lambda runtime: runtime.register_client("strict", client)) as one:
        yield one
    assert refused == []


async def converse(runtime: Runtime) -> None:
    """Send what the script says, half a second apart, and abort the last of it; what was sent before is not again."""
    ref = runtime.ref("agent", "u1")
    sent: list[Submitted] = []
    for number, (text, policy) in enumerate(SCRIPT):
        sent.append(await insist(ref.submit, text, if_busy=policy, idempotency_key=f"k{number}"))
        await asyncio.sleep(0.5)
    await asyncio.sleep(12)  # until it runs
    await insist(ref.abort_submission, sent[-1].submission_id)


async def insist(ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Ask until it is done: a client's duty while the disk is full."""
    while True:
        try:
            return await ask(*args, **kwargs)
        except FlueError:
            await asyncio.sleep(0.2)


async def at_rest(one: Machine) -> Sequence[Submission]:
    """Every input of the script, once none is under way; each has its one outcome, and the history is valid."""
    for _ in range(1000):
        if not await one.store.unsettled():
            break
        await asyncio.sleep(1)
    entries = await one.store.entries(U1, "default")
    assert list(history_problems(entries, [])) == []
    asked = [read_message(entry).message for entry in entries if is_message(entry)]
    texts = [text_of(each) for each in asked if isinstance(each, UserMessage)]
    assert len(texts) == len(set(texts))  # nothing twice
    assert {text for text, _ in SCRIPT[:-1]} <= set(texts)  # and nothing lost
    ids = {entry.submission_id for entry in entries if entry.submission_id is not None}
    rows = [await one.row(each) for each in ids]
    assert {row.status for row in rows} == {"settled"}
    assert await one.store.unsettled() == []
    return rows


async def undisturbed() -> int:
    """How many commits the whole conversation needs."""
    async with strict_machine() as one:
        await converse(await one.start())
        rows = await at_rest(one)
        assert len([row for row in rows if row.host is not None]) == 2  # one joined, one was merged
        assert one.process is not None
        return one.process.commits


@virtual_time
async def test_a_commit_that_fails_once_changes_no_outcome() -> None:
    for number in range(1, await undisturbed() + 1):
        async with strict_machine() as one:
            await converse(await one.start(fails_at=frozenset({number})))
            rows = await at_rest(one)
            assert {row.outcome for row in rows} <= {"completed", "aborted"}


@virtual_time
async def test_a_commit_that_was_kept_though_the_store_said_otherwise_changes_no_outcome() -> None:
    for number in range(1, await undisturbed() + 1):
        async with strict_machine() as one:
            await converse(await one.start(kept_at=frozenset({number})))
            rows = await at_rest(one)
            assert {row.outcome for row in rows} <= {"completed", "aborted"}
            assert {row.attempt for row in rows} <= {0, 1}  # what was kept is not done again


@virtual_time
async def test_commits_that_fail_again_and_again_change_no_outcome() -> None:
    for step in (2, 3, 5):
        async with strict_machine() as one:
            await converse(await one.start(fails_at=frozenset(range(step, 1000, step))))
            await at_rest(one)


@virtual_time
async def test_a_process_that_dies_behind_any_commit_leaves_what_the_next_one_finishes() -> None:
    for number in range(1, await undisturbed() + 1):
        async with strict_machine() as one:
            talking = asyncio.ensure_future(converse(await one.start(dies_after=number)))
            assert one.process is not None
            await asyncio.wait([talking, asyncio.ensure_future(one.process.died.wait())], timeout=100)
            talking.cancel()
            await asyncio.wait([talking])
            await converse(await one.restart())
            await at_rest(one)


@virtual_time
async def test_a_process_that_dies_again_and_again_finishes_in_the_end() -> None:
    async with strict_machine() as one:
        for commits in range(3, 12):
            runtime = await one.restart(dies_after=commits)
            talking = asyncio.ensure_future(converse(runtime))
            await asyncio.wait([talking], timeout=30)
            talking.cancel()
            await asyncio.wait([talking])
        await converse(await one.restart())
        await at_rest(one)


@virtual_time
async def test_a_stop_at_any_moment_leaves_what_the_next_start_finishes() -> None:
    for tenth in range(1, 120, 4):
        async with strict_machine() as one:
            talking = asyncio.ensure_future(converse(await one.start()))
            await asyncio.sleep(tenth / 10)
            talking.cancel()
            await asyncio.wait([talking])
            await one.stop(timeout=(0, 1, 30)[tenth % 3])
            await converse(await one.start())
            rows = await at_rest(one)
            assert {row.outcome for row in rows} <= {"completed", "aborted"}
