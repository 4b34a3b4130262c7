"""Tasks over restarts: whatever moment the process ends at, they go on from their own transcripts."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import msgspec
import pytest

from flue_actors import create_agent, define_agent_profile, tool
from flue_actors.conversation.entries import read_settled
from flue_actors.definition.fields import Durability
from flue_actors.definition.limits import Limits
from flue_actors.errors import AbortedError, ModelError, StoreError, TokenLimitError, TurnLimitError
from flue_actors.messages import SignalMessage, ToolResultMessage, text_of
from flue_actors.refs import LocalAgentRef
from flue_actors.testing import FunctionModel
from tests.faults.validity import context_problems, history_problems
from tests.runtime.machine import U1, Machine, machine, shown, texts
from tests.runtime.models import by_message, call, until_asked
from tests.runtime.support import virtual_time

DID: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.fixture(autouse=True)
def counted() -> Iterator[None]:
    DID.clear()
    yield


@tool(idempotent=True)
async def look(what: str) -> str:
    """Look."""
    DID[what] += 1
    await asyncio.sleep(2)
    return f"saw {what}"


@tool(approval=True)
async def pay(amount: int) -> str:
    """Pay."""
    DID["pay"] += 1
    return f"paid {amount}"


def task(prompt: str, id: str = "t1", agent: str = "worker", **more: Any) -> Any:
    return call("task", id, agent=agent, prompt=prompt, **more)


SAID: dict[str, Any] = {
    "go": (task("a"), task("b", "t2"), call("look", "l", what="own")),
    "a": call("look", what="a"),
    "b": (task("c", agent="deep"), call("look", "l", what="b")),
    "c": call("look", what="c"),
}


def delegating(said: dict[str, Any] | None = None, **fields: Any) -> tuple[Any, FunctionModel]:
    """An agent with two tasks side by side, one of which has a task of its own; and its model."""
    refused: list[str] = []

    def answer(request: Any) -> Any:
        refused.extend(context_problems(request.messages))
        assert refused == []
        return by_message(**(said or SAID))(request)

    deep = define_agent_profile(name="deep", description="Digs.", instructions="", tools=[look])
    worker = define_agent_profile(
        name="worker", description="Works.", instructions="", tools=[look, pay], subagents=[deep]
    )
    model = FunctionModel(answer)
    given: dict[str, Any] = {"durability": Durability(attempts=100), **fields}
    return create_agent(model=model, instructions="", tools=[look], subagents=[worker], **given), model


ANSWER = "saw a | saw c | saw b | saw own"


async def at_rest(one: Machine, submission_id: str | None = None) -> LocalAgentRef:
    """Its ref, once nothing is under way and every history is whole."""
    for _ in range(1000):
        if not await one.store.unsettled():
            break
        await asyncio.sleep(0.5)
    assert await one.store.unsettled() == []
    sessions = await one.store.sessions(U1)
    for session in sessions:
        assert list(history_problems(await one.store.entries(U1, session.name), [])) == []
    assert len(sessions) == 4
    return one.ref("agent", "u1")


async def undisturbed() -> tuple[int, Any]:
    agent, _ = delegating()
    async with machine(agent) as one:
        answer = await (await one.start()).ref("agent", "u1").prompt("go")
        assert answer.text == ANSWER
        await at_rest(one)
        assert one.process is not None
        return one.process.commits, answer


@virtual_time
async def test_a_process_that_dies_behind_any_commit_leaves_tasks_that_the_next_one_finishes() -> None:
    commits, whole = await undisturbed()
    for number in range(1, commits + 1):
        DID.clear()
        agent, _ = delegating()
        async with machine(agent) as one:
            ref = (await one.start(dies_after=number)).ref("agent", "u1")
            sending = asyncio.ensure_future(ref.submit("go", idempotency_key="k"))
            assert one.process is not None
            await asyncio.wait([asyncio.ensure_future(one.process.died.wait())], timeout=100)
            await asyncio.wait([sending], timeout=1)
            ref = (await one.restart()).ref("agent", "u1")
            await ref.submit("go", idempotency_key="k")
            ref = await at_rest(one)
            assert (await texts(ref))[-1] == ANSWER, number
            answer = await ref.prompt("go", idempotency_key="k")
            assert answer.total_usage == whole.total_usage, number
            assert answer.usage == whole.usage, number
            assert max(DID.values()) <= 2  # what was under way runs again, what was done does not


@virtual_time
async def test_a_commit_that_fails_once_or_only_seems_to_changes_nothing_about_tasks() -> None:
    commits, whole = await undisturbed()
    for how in ("fails_at", "kept_at"):
        for number in range(1, commits + 1):
            agent, _ = delegating()
            async with machine(agent) as one:
                ref = (await one.start(**cast("Any", {how: frozenset({number})}))).ref("agent", "u1")
                for _ in range(100):
                    with suppress(StoreError):
                        await ref.submit("go", idempotency_key="k")
                        break
                    await asyncio.sleep(0.2)
                ref = await at_rest(one)
                assert (await texts(ref))[-1] == ANSWER, (how, number)
                answer = await ref.prompt("go", idempotency_key="k")
                assert answer.total_usage == whole.total_usage, (how, number)


@virtual_time
async def test_an_orderly_stop_in_the_middle_of_a_task_costs_nothing_of_it() -> None:
    for tenth in range(1, 60, 3):
        DID.clear()
        agent, model = delegating(durability=Durability(attempts=1))
        async with machine(agent) as one:
            ref = (await one.start()).ref("agent", "u1")
            await ref.submit("go")
            await asyncio.sleep(tenth / 10)
            await one.stop(timeout=30 if tenth % 2 else 0)
            await one.start()
            ref = await at_rest(one)
            assert (await texts(ref))[-1] == ANSWER
            assert len(model.requests) <= 8 + 3
            if tenth % 2:  # the tools had the time to end
                assert max(DID.values()) == 1


@virtual_time
async def test_what_a_finished_task_came_to_is_not_asked_for_again() -> None:
    agent, model = delegating({**SAID, "b": call("look", what="b"), "a": "quick"})
    async with machine(agent) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.submit("go")
        await asyncio.sleep(1)
        await one.restart()
        ref = one.ref("agent", "u1")
        for _ in range(100):
            await asyncio.sleep(0.2)
        assert (await texts(ref))[-1] == "quick | saw b | saw own"
        asked = [each for each in model.requests if [text_of(said) for said in each.messages] == ["a"]]
        assert len(asked) == 1


@virtual_time
async def test_what_tasks_used_before_a_crash_counts_against_the_limit_behind_it() -> None:
    agent, _ = delegating()
    async with machine(agent) as one:
        used = await (await one.start()).ref("agent", "u1").prompt("go")
    assert not isinstance(used.total_usage, msgspec.UnsetType)
    cap = used.total_usage.input + used.total_usage.output - 1
    agent, _ = delegating(limits=Limits(tokens=cap), durability=Durability(attempts=100))
    async with machine(agent) as one:
        ref = (await one.start()).ref("agent", "u1")
        pending = await ref.submit("go")
        await asyncio.sleep(3)
        await one.restart()
        ref = one.ref("agent", "u1")
        assert (await ref.wait(pending.submission_id)).text == ANSWER  # the call that crosses it is the last one
    agent, _ = delegating(limits=Limits(tokens=cap // 3), durability=Durability(attempts=100))
    async with machine(agent) as one:
        ref = (await one.start()).ref("agent", "u1")
        pending = await ref.submit("go")
        await asyncio.sleep(3)
        await one.restart()
        with pytest.raises(TokenLimitError):
            await one.ref("agent", "u1").wait(pending.submission_id)


@virtual_time
async def test_an_abort_that_was_noted_before_the_crash_ends_the_tasks_too() -> None:
    agent, model = delegating()
    async with machine(agent) as one:
        ref = (await one.start()).ref("agent", "u1")
        pending = await ref.submit("go")
        await asyncio.sleep(1)
        asked = len(model.requests)
        aborting = asyncio.ensure_future(ref.abort())
        await asyncio.sleep(0)
        assert one.process is not None
        one.process.died.set()
        await asyncio.wait([aborting])
        ref = (await one.restart()).ref("agent", "u1")
        with pytest.raises(AbortedError):
            await ref.wait(pending.submission_id)
        assert len(model.requests) == asked
        assert (await ref.prompt("a")).text == "saw a"


@virtual_time
async def test_a_call_in_a_task_waits_for_its_decision_over_a_restart_while_another_task_is_done() -> None:
    agent, model = delegating({**SAID, "b": call("pay", amount=5)})
    async with machine(agent) as one:
        ref = (await one.start()).ref("agent", "u1")
        pending = await ref.submit("go")
        await until_asked(ref)
        done = dict(DID)
        asked = len(model.requests)
        ref = (await one.restart()).ref("agent", "u1")
        (waiting,) = await ref.approvals()
        await ref.decide(waiting.id, "approved")
        assert (await ref.wait(pending.submission_id)).text == "saw a | paid 5 | saw own"
        assert {**done, "pay": 1} == DID
        assert len(model.requests) == asked + 2


@virtual_time
async def test_a_task_past_the_model_goes_on_after_a_restart() -> None:
    agent, _ = delegating()
    async with machine(agent) as one:
        ref = (await one.start()).ref("agent", "u1")
        asking = asyncio.ensure_future(ref.task("b"))
        await asyncio.sleep(1)
        (running,) = await one.store.unsettled()
        await one.crash()
        await asyncio.wait([asking])
        ref = (await one.start()).ref("agent", "u1")
        answer = await ref.wait(running.id)
        assert answer.text == "saw c | saw b"
        assert len([each for each in await shown(ref) if isinstance(each, ToolResultMessage)]) == 1


@virtual_time
async def test_turns_that_a_task_took_before_a_crash_count_behind_it() -> None:
    asked: list[int] = []
    for crash in (False, True):
        agent, model = delegating(
            {"go": (task("a"), call("look", "l", what="own")), "a": "quick"}, limits=Limits(turns=2)
        )
        async with machine(agent) as one:
            ref = (await one.start()).ref("agent", "u1")
            pending = await ref.submit("go")
            await asyncio.sleep(1)
            if crash:
                ref = (await one.restart()).ref("agent", "u1")
            with pytest.raises(TurnLimitError):
                await ref.wait(pending.submission_id)
            asked.append(len(model.requests))
    assert asked == [2, 2]


async def told_of_tasks(one: Machine) -> list[dict[str, Any]]:
    """The reports that came, once nothing is left to do."""
    for _ in range(1000):
        if not await one.store.unsettled():
            break
        await asyncio.sleep(0.5)
    messages = await shown(one.ref("agent", "u1"))
    said = [json.loads(each.content) for each in messages if isinstance(each, SignalMessage)]
    return [each for each in said if each["type"] == "task_result"]


async def dies_while_a_detached_task_fails(number: int) -> bool:
    """Its process dies behind that commit, and the next one's model is well; False when there is no such commit."""
    said: dict[str, Any] = {"go": task("work", detached=True), "work": ModelError(retryable=False)}
    worker = define_agent_profile(name="worker", description="Works.", instructions="")
    agent = create_agent(
        model=FunctionModel(lambda request: by_message(**said)(request)), instructions="", subagents=[worker]
    )
    async with machine(agent) as one:
        ref = (await one.start(dies_after=number)).ref("agent", "u1")
        sending = asyncio.ensure_future(ref.submit("go", idempotency_key="k"))
        assert one.process is not None
        died = asyncio.ensure_future(one.process.died.wait())
        dead, _ = await asyncio.wait([died], timeout=100)
        await asyncio.wait([sending], timeout=1)
        said["work"] = "fine"
        ref = (await one.restart()).ref("agent", "u1")
        await ref.submit("go", idempotency_key="k")
        (report,) = await told_of_tasks(one)
        (session,) = [each.name for each in await one.store.sessions(U1) if each.name.startswith("task:")]
        (settled,) = [each for each in await one.store.entries(U1, session) if each.kind == "settled"]
        assert report["isError"] == (read_settled(settled).outcome == "failed"), number
        assert (report["text"] == "fine") != report["isError"], number
        return bool(dead)


@virtual_time
async def test_a_process_that_dies_behind_any_commit_tells_of_a_detached_task_once_and_what_its_row_says() -> None:
    number = 1
    while await dies_while_a_detached_task_fails(number):
        number += 1
    assert number > 8


@tool
async def hold() -> str:
    """Be slow to end."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(100)
    await asyncio.sleep(5)
    return "held"


@virtual_time
async def test_a_detached_task_reports_while_another_conversation_is_being_deleted() -> None:
    worker = define_agent_profile(name="worker", description="Works.", instructions="", tools=[look])
    model = FunctionModel(by_message(go=task("a", detached=True), a=call("look", what="a"), hold=call("hold")))
    agent = create_agent(model=model, instructions="", subagents=[worker], tools=[hold])
    async with machine(agent) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.prompt("go")
        await ref.session("other").submit("hold")
        await asyncio.sleep(0.1)
        deleting = asyncio.ensure_future(ref.session("other").delete())
        await asyncio.sleep(3)  # the task is done by now
        assert not deleting.done()
        await deleting
        (report,) = await told_of_tasks(one)
        assert report["text"] == "saw a"
