"""Approvals over restarts: whatever moment the process ends at, an approved call runs once, and a denied one never."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from flue_actors import Principal, create_agent, define_agent_profile, tool
from flue_actors.definition.fields import Durability
from flue_actors.errors import AbortedError, ApprovalNotFoundError, FlueError
from flue_actors.memory import memory_store
from flue_actors.messages import ToolResultMessage
from flue_actors.refs import LocalAgentRef
from flue_actors.storage import Store
from flue_actors.store.sqlite_store import sqlite
from flue_actors.testing import FunctionModel, VirtualClock
from tests.faults.validity import history_problems
from tests.runtime.machine import U1, Machine, machine, shown, texts
from tests.runtime.models import InThreads, by_message, call, each_in_turn, once, until_asked
from tests.runtime.support import virtual_time

DAY = 24 * 3600
PAID: list[int] = []


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.fixture(autouse=True)
def paid() -> Iterator[list[int]]:
    PAID.clear()
    yield PAID


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return memory_store() if request.param == "memory" else cast("Store", InThreads(sqlite(tmp_path / "flue.db")))


@tool(approval=True)
async def pay(amount: int) -> str:
    """Pay."""
    PAID.append(amount)
    await asyncio.sleep(5)
    return f"paid {amount}"


@tool
async def nap(seconds: float = 5) -> str:
    """Sleep."""
    await asyncio.sleep(seconds)
    return "rested"


def agent(model: FunctionModel, **fields: Any) -> Any:
    return create_agent(model=model, instructions="", tools=[pay, nap], **fields)


@asynccontextmanager
async def at(store: Store, made: Any) -> AsyncGenerator[Machine]:
    async with machine(made) as one:
        one.store = store
        yield one


async def asked(one: Machine) -> tuple[LocalAgentRef, str]:
    ref = (await one.start()).ref("agent", "u1")
    pending = await ref.submit("go")
    await until_asked(ref)
    return ref, pending.submission_id


@pytest.mark.parametrize("orderly", [True, False])
@virtual_time
async def test_what_waits_waits_after_a_restart_too(store: Store, orderly: bool) -> None:
    async with at(store, agent(once(call("pay", amount=5)))) as one:
        _, id = await asked(one)
        if orderly:
            await one.stop()
        ref = (await one.restart()).ref("agent", "u1")
        (waiting,) = await ref.approvals()
        assert (waiting.tool_call_id, waiting.args) == ("c1", {"amount": 5})
        await asyncio.sleep(100)
        assert PAID == []
        await ref.decide("c1", "approved", principal=Principal("ada"))
        assert (await ref.wait(id)).text == "paid 5"
        assert PAID == [5]
        assert await texts(ref) == ["go", "", "paid 5", "paid 5"]


@virtual_time
async def test_messages_behind_it_wait_after_a_restart_too(store: Store) -> None:
    async with at(store, agent(FunctionModel(by_message(go=call("pay", amount=5))))) as one:
        ref, id = await asked(one)
        behind = await ref.submit("behind")
        ref = (await one.restart()).ref("agent", "u1")
        newer = await ref.submit("newer")
        await asyncio.sleep(100)
        assert (await one.row(behind.submission_id)).status == "queued"
        await ref.decide("c1", "approved")
        assert [(await ref.wait(each)).text for each in (id, behind, newer)] == ["paid 5", "behind", "newer"]


@virtual_time
async def test_a_decision_is_kept_when_the_process_ends_right_behind_it(store: Store) -> None:
    async with at(store, agent(once(call("pay", amount=5)))) as one:
        ref, id = await asked(one)
        assert one.process is not None
        deciding = asyncio.ensure_future(ref.decide("c1", "approved"))
        await asyncio.sleep(0)
        one.process.died.set()
        await asyncio.wait([deciding])
        ref = (await one.restart()).ref("agent", "u1")
        async with asyncio.timeout(100):
            assert (await ref.wait(id)).text == "paid 5"
        assert PAID == [5]


@virtual_time
async def test_an_approved_call_that_began_does_not_run_again(store: Store) -> None:
    async with at(store, agent(once(call("pay", amount=5)))) as one:
        ref, id = await asked(one)
        await ref.decide("c1", "approved", principal=Principal("ada"))
        await asyncio.sleep(1)
        assert PAID == [5]
        ref = (await one.restart()).ref("agent", "u1")
        assert "unknown" in (await ref.wait(id)).text
        assert PAID == [5]
        (result,) = [each for each in await shown(ref) if isinstance(each, ToolResultMessage)]
        assert result.details["approval"]["by"] == "ada"


@virtual_time
async def test_a_denial_is_not_forgotten(store: Store) -> None:
    async with at(store, agent(once(call("pay", amount=5), call("pay", "c2", amount=6)))) as one:
        ref = (await one.start()).ref("agent", "u1")
        id = (await ref.submit("go")).submission_id
        await until_asked(ref, 2)
        await ref.decide("c1", "denied", reason="no")
        ref = (await one.restart()).ref("agent", "u1")
        assert [each.tool_call_id for each in await ref.approvals()] == ["c2"]
        await ref.decide("c2", "approved")
        assert (await ref.wait(id)).text == "Not run: it was not approved. They say: no | paid 6"
        assert PAID == [6]


@virtual_time
async def test_an_early_decision_holds_when_the_process_ends_before_the_other_calls(store: Store) -> None:
    async with at(store, agent(once(call("nap", "n"), call("pay", amount=5)))) as one:
        ref = (await one.start()).ref("agent", "u1")
        id = (await ref.submit("go")).submission_id
        await asyncio.sleep(1)
        await ref.decide("c1", "approved")
        ref = (await one.restart()).ref("agent", "u1")
        answer = (await ref.wait(id)).text
        assert "unknown" in answer
        assert answer.endswith("paid 5")


@virtual_time
async def test_a_day_counts_over_restarts(store: Store) -> None:
    clock = VirtualClock()
    async with at(store, agent(once(call("pay", amount=5)))) as one:
        ref = (await one.start(clock=clock)).ref("agent", "u1")
        id = (await ref.submit("go")).submission_id
        await until_asked(ref)
        await one.crash()
        clock.advance(DAY)
        ref = (await one.start(clock=clock)).ref("agent", "u1")
        async with asyncio.timeout(60):
            assert "nobody decided in time" in (await ref.wait(id)).text
        assert PAID == []


@virtual_time
async def test_a_wish_to_abort_what_waits_holds_after_a_crash(store: Store) -> None:
    async with at(store, agent(once(call("pay", amount=5)))) as one:
        ref, id = await asked(one)
        assert one.process is not None
        aborting = asyncio.ensure_future(ref.abort())
        await asyncio.sleep(0)
        one.process.died.set()
        await asyncio.wait([aborting])
        ref = (await one.restart()).ref("agent", "u1")
        with pytest.raises(AbortedError):
            await ref.wait(id)
        with pytest.raises(ApprovalNotFoundError):
            await ref.decide("c1", "approved")


@virtual_time
async def test_who_joined_the_turn_waits_with_it_over_a_restart(store: Store) -> None:
    model = each_in_turn(call("nap", "n"), call("pay", amount=5))
    async with at(store, agent(model)) as one:
        ref = (await one.start()).ref("agent", "u1")
        first = await ref.submit("go")
        await asyncio.sleep(1)
        joined = await ref.submit("hurry", if_busy="steer")
        await asyncio.sleep(10)
        ref = (await one.restart()).ref("agent", "u1")
        ids = [each.id for each in await ref.approvals()]
        while ids:
            await ref.decide(ids[0], "approved")
            await asyncio.sleep(20)
            ids = [each.id for each in await ref.approvals()]
        async with asyncio.timeout(100):
            assert (await ref.wait(first.submission_id)).text == (await ref.wait(joined.submission_id)).text


@virtual_time
async def test_waiting_costs_no_attempt(store: Store) -> None:
    calls = [call("pay", f"p{n}", amount=n) for n in range(5)]
    async with at(store, agent(each_in_turn(*calls), durability=Durability(attempts=1))) as one:
        ref = (await one.start()).ref("agent", "u1")
        id = (await ref.submit("go")).submission_id
        for n in range(5):
            await until_asked(ref)
            await ref.decide(f"p{n}", "approved")
        assert (await ref.wait(id)).text == "paid 0 | paid 1 | paid 2 | paid 3 | paid 4"


@virtual_time
async def test_sessions_side_by_side_go_on_after_a_restart_while_one_waits(store: Store) -> None:
    async with at(store, agent(FunctionModel(by_message(go=call("pay", amount=5))), concurrency="session")) as one:
        _, id = await asked(one)
        ref = (await one.restart()).ref("agent", "u1")
        async with asyncio.timeout(10):
            assert (await ref.session("other").prompt("beside")).text == "beside"
        await ref.decide("c1", "approved")
        assert (await ref.wait(id)).text == "paid 5"


def delegating() -> Any:
    worker = define_agent_profile(name="worker", description="Works.", instructions="", tools=[pay, nap])
    said = by_message(
        go=(call("task", "t", agent="worker", prompt="pay it"), call("nap", "n")),
        **{"pay it": (call("nap", "m"), call("pay", amount=5))},
    )
    durability = Durability(attempts=100)
    return create_agent(
        model=FunctionModel(said), instructions="", tools=[nap], subagents=[worker], durability=durability
    )


async def decided_in_time(one: Machine) -> None:
    """Somebody who approves everything, and asks again when the process was not there."""
    while True:
        await asyncio.sleep(0.5)
        try:
            ref = one.ref("agent", "u1")
            for each in await ref.approvals():
                await ref.decide(each.id, "approved")
        except FlueError:
            continue


async def finished(one: Machine) -> str:
    for _ in range(400):
        await asyncio.sleep(0.5)
        rows = await one.store.unsettled()
        if not rows:
            break
    for session in await one.store.sessions(U1):
        assert list(history_problems(await one.store.entries(U1, session.name), [])) == []
    assert await one.store.unsettled() == []
    return (await texts(one.ref("agent", "u1")))[-1]


async def commits_undisturbed(made: Any) -> int:
    async with machine(made) as one:
        await (await one.start()).ref("agent", "u1").submit("go", idempotency_key="k")
        deciding = asyncio.ensure_future(decided_in_time(one))
        assert "paid 5" in await finished(one)
        deciding.cancel()
        assert one.process is not None
        return one.process.commits


@pytest.mark.parametrize("make", [lambda: agent(once(call("nap", "n"), call("pay", amount=5))), delegating])
@virtual_time
async def test_a_process_that_dies_behind_any_commit_pays_once_or_says_that_it_does_not_know(
    make: Callable[[], Any],
) -> None:
    for number in range(1, await commits_undisturbed(make()) + 1):
        PAID.clear()
        async with machine(make()) as one:
            ref = (await one.start(dies_after=number)).ref("agent", "u1")
            deciding = asyncio.ensure_future(decided_in_time(one))
            sending = asyncio.ensure_future(ref.submit("go", idempotency_key="k"))
            assert one.process is not None
            await asyncio.wait([asyncio.ensure_future(one.process.died.wait())], timeout=100)
            await asyncio.wait([sending], timeout=1)
            ref = (await one.restart()).ref("agent", "u1")
            await ref.submit("go", idempotency_key="k")
            said = await finished(one)
            deciding.cancel()
            assert PAID in ([5], [])
            assert (PAID == [5] and "paid 5" in said) or "unknown" in said, (number, said)
