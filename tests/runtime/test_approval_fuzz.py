"""Anything may happen around calls that wait, in any order: every input gets its outcome, and nothing runs unasked."""

import asyncio
import logging
import random
from collections import Counter
from contextlib import suppress
from typing import Any, get_args

import pytest

from flue_actors import ToolContext, create_agent, define_agent_profile, tool
from flue_actors.agent_ref import IfBusy
from flue_actors.definition.fields import Concurrency, Durability
from flue_actors.errors import FlueError
from flue_actors.messages import UserMessage, text_of
from flue_actors.models.protocol import ModelRequest
from flue_actors.testing import FunctionModel
from tests.faults.validity import context_problems, history_problems
from tests.runtime.machine import U1, Machine, machine
from tests.runtime.models import call, results
from tests.runtime.support import virtual_time

PAID: Counter[str] = Counter()
APPROVED: set[str] = set()
REFUSED: list[str] = []
SESSIONS = ("default", "other")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@tool(approval=True)
async def pay(what: str, ctx: ToolContext) -> str:
    """Pay."""
    PAID[what] += 1
    await asyncio.sleep(1)
    return f"paid {what}"


@tool(idempotent=True)
async def nap(seconds: float = 2) -> str:
    """Sleep."""
    await asyncio.sleep(seconds)
    return "rested"


def answer(request: ModelRequest) -> Any:
    REFUSED.extend(context_problems(request.messages))
    said = text_of(next(each for each in reversed(request.messages) if isinstance(each, UserMessage)))
    found = results(request.messages)
    if found:
        return " | ".join(found)
    kind, _, name = said.partition(" ")
    made = {
        "pay": (call("pay", f"{name}-a", what=f"{name}-a"),),
        "both": (
            call("pay", f"{name}-a", what=f"{name}-a"),
            call("nap", f"{name}-n"),
            call("pay", f"{name}-b", what=f"{name}-b"),
        ),
        "task": (call("task", f"{name}-t", agent="worker", prompt=f"pay {name}"), call("nap", f"{name}-n")),
    }
    return made.get(kind, said)


class Storm:
    """What happens to one instance, by a seed."""

    def __init__(self, seed: int, one: Machine) -> None:
        self.rng = random.Random(seed)
        self.one = one
        self.sent = 0

    async def blow(self, steps: int) -> None:
        for _ in range(steps):
            act = self.rng.choice(
                [self.send] * 4 + [self.decide] * 4 + [self.wait] * 3 + [self.abort, self.evict, self.restart]
            )
            with suppress(FlueError, TimeoutError):
                await act()
            if self.one.process is not None and self.one.process.died.is_set():
                await self.one.restart()

    @property
    def ref(self) -> Any:
        return self.one.ref("agent", "u1")

    async def send(self) -> None:
        self.sent += 1
        kind = self.rng.choice(["pay", "both", "task", "say"])
        session = self.ref.session(self.rng.choice(SESSIONS))
        await session.submit(f"{kind} {self.sent}", if_busy=self.rng.choice(get_args(IfBusy)))

    async def decide(self) -> None:
        waiting = await self.ref.approvals()
        if not waiting:
            return
        each = self.rng.choice(waiting)
        verdict = self.rng.choice(["approved", "denied"])
        if verdict == "approved":
            APPROVED.add(each.args["what"])
        await self.ref.decide(each.id, verdict)

    async def wait(self) -> None:
        await asyncio.sleep(self.rng.choice([0, 0, 0.01, 0.5, 1, 2, 3]))

    async def abort(self) -> None:
        unsettled = await self.one.store.unsettled()
        if unsettled:
            await self.ref.abort_submission(self.rng.choice(unsettled).id)

    async def evict(self) -> None:
        self.one.runtime.evict(U1)

    async def restart(self) -> None:
        """Another process, on a disk that may fail it; it may die in the middle."""
        rng = self.rng
        if rng.random() < 0.5:
            await self.one.stop(timeout=rng.choice([0, 5]))
            await self.one.store.close()  # it may have died in the middle of that
        failing = frozenset(rng.sample(range(1, 40), rng.choice([0, 3])))
        kept = frozenset(rng.sample(range(1, 40), rng.choice([0, 3]))) - failing
        await self.one.restart(
            dies_after=rng.choice([None, None, rng.randrange(1, 30)]), fails_at=failing, kept_at=kept
        )

    async def settle(self) -> None:
        """Deny whatever still waits, until nothing is under way."""
        for _ in range(400):
            if not await self.one.store.unsettled():
                return
            for each in await self.ref.approvals():
                with suppress(FlueError):
                    await self.ref.decide(each.id, "denied")
            await asyncio.sleep(0.5)
        left = [(each.id, each.status, each.session, each.attempt) for each in await self.one.store.unsettled()]
        raise AssertionError(f"{left} are never settled")


def made(concurrency: Concurrency) -> Any:
    worker = define_agent_profile(name="worker", description="Works.", instructions="", tools=[pay])
    return create_agent(
        model=FunctionModel(answer),
        instructions="",
        tools=[pay, nap],
        subagents=[worker],
        concurrency=concurrency,
        durability=Durability(attempts=100),
    )


@pytest.mark.parametrize("seed", range(60))
@virtual_time
async def test_every_input_gets_its_outcome_and_nothing_runs_unasked_or_twice(seed: int) -> None:
    PAID.clear()
    APPROVED.clear()
    REFUSED.clear()
    concurrency: Concurrency = "session" if seed % 2 else "instance"
    async with machine(made(concurrency)) as one:
        await one.start()
        storm = Storm(seed, one)
        await storm.blow(60)
        await one.restart()
        await storm.settle()
        assert REFUSED == []
        assert set(PAID.values()) <= {1}
        assert set(PAID) <= APPROVED
        for session in SESSIONS:
            assert list(history_problems(await one.store.entries(U1, session), [])) == []
        assert (await one.ref("agent", "u1").prompt("say hello")).text == "say hello"
