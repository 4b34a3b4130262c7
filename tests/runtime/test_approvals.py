"""Tools that somebody has to approve: what waits, what goes on meanwhile, and what a decision does."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest

from flue_actors import Principal, create_agent, define_agent_profile, tool
from flue_actors.agent_ref import IfBusy
from flue_actors.definition.fields import Durability
from flue_actors.errors import (
    AbortedError,
    ApprovalDecidedError,
    ApprovalNotFoundError,
    DeadlineExceededError,
    SessionBusyError,
)
from flue_actors.events import ApprovalDecided, ApprovalRequested, Event, Idle, StreamInterrupted, ToolCallEnd
from flue_actors.messages import ToolResultMessage
from flue_actors.refs import LocalAgentRef
from flue_actors.testing import FunctionModel, VirtualClock
from tests.runtime.machine import Machine, machine, results_in, shown, texts
from tests.runtime.models import by_message, call, each_in_turn, once, until_asked
from tests.runtime.support import virtual_time

DAY = 24 * 3600


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.fixture(autouse=True)
def paid() -> Iterator[list[int]]:
    PAID.clear()
    yield PAID


PAID: list[int] = []


@tool(approval=True)
async def pay(amount: int) -> str:
    """Pay."""
    PAID.append(amount)
    return f"paid {amount}"


@tool
async def nap(seconds: float = 5) -> str:
    """Sleep."""
    await asyncio.sleep(seconds)
    return "rested"


@tool(approval=lambda arguments: arguments["amount"] > 100)
async def spend(amount: int) -> str:
    """Spend."""
    return f"spent {amount}"


def agent(model: FunctionModel, **fields: Any) -> Any:
    return create_agent(model=model, instructions="", tools=[pay, nap, spend], **fields)


async def asked(one: Machine, message: str = "go") -> tuple[LocalAgentRef, Any]:
    """An input whose call waits."""
    ref = (await one.start()).ref("agent", "u1")
    pending = await ref.submit(message)
    await until_asked(ref)
    return ref, pending


@virtual_time
async def test_a_call_that_needs_approval_does_not_run_before_it_has_it() -> None:
    async with machine(agent(once(call("pay", amount=5)))) as one:
        ref, pending = await asked(one)
        await asyncio.sleep(1000)
        assert PAID == []
        (waiting,) = await ref.approvals()
        assert (waiting.tool_call_id, waiting.tool_name, waiting.args) == ("c1", "pay", {"amount": 5})
        assert waiting.submission_id == pending.submission_id
        assert (await one.row(pending.submission_id)).status == "waiting"
        await ref.decide("c1", "approved")
        assert (await pending.result()).text == "paid 5"
        assert PAID == [5]
        assert await ref.approvals() == []


@virtual_time
async def test_a_denied_call_never_runs_and_the_model_is_told_the_reason() -> None:
    async with machine(agent(once(call("pay", amount=5)))) as one:
        ref, pending = await asked(one)
        await ref.decide("c1", "denied", reason="too much")
        assert (await pending.result()).text == "Not run: it was not approved. They say: too much"
        assert PAID == []


@virtual_time
async def test_only_the_arguments_that_the_tool_names_need_approval() -> None:
    async with machine(agent(each_in_turn(call("spend", amount=5), call("spend", "c2", amount=500)))) as one:
        ref, pending = await asked(one)
        (waiting,) = await ref.approvals()
        assert waiting.args == {"amount": 500}
        await ref.decide("c2", "approved")
        assert (await pending.result()).text == "spent 5 | spent 500"


@virtual_time
async def test_whoever_watches_sees_no_failure_and_no_interruption_while_a_call_waits() -> None:
    seen: list[Event] = []
    async with machine(agent(once(call("pay", amount=5))), before=lambda each: each.observe(seen.append)) as one:
        ref, pending = await asked(one)
        await ref.decide("c1", "approved")
        await pending.result()
        ends = [event for event in seen if isinstance(event, ToolCallEnd)]
        assert [(event.tool_call_id, event.is_error) for event in ends] == [("c1", False)]
        replayed = [event async for event in until_idle(ref.events(after="0-0"))]
        assert not [event for event in (*seen, *replayed) if isinstance(event, StreamInterrupted)]


async def until_idle(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    async for event in events:
        yield event
        if isinstance(event, Idle):
            return


@virtual_time
async def test_who_decided_stands_in_the_history_and_in_the_events() -> None:
    seen: list[Event] = []
    async with machine(agent(once(call("pay", amount=5))), before=lambda each: each.observe(seen.append)) as one:
        ref, pending = await asked(one)
        await ref.decide("c1", "approved", principal=Principal("ada"))
        await pending.result()
        (result,) = [each for each in await shown(ref) if isinstance(each, ToolResultMessage)]
        assert result.details["approval"]["by"] == "ada"
        assert result.details["approval"]["verdict"] == "approved"
    assert [each.tool_name for each in seen if isinstance(each, ApprovalRequested)] == ["pay"]
    assert [(each.decision, each.by) for each in seen if isinstance(each, ApprovalDecided)] == [("approved", "ada")]


@virtual_time
async def test_a_call_that_nobody_decides_on_is_denied_after_a_day() -> None:
    async with machine(agent(once(call("pay", amount=5)))) as one:
        ref = (await one.start(clock=VirtualClock())).ref("agent", "u1")
        pending = await ref.submit("go")
        await until_asked(ref)
        await asyncio.sleep(DAY - 60)
        assert len(await ref.approvals()) == 1
        answer = await pending.result()
        assert answer.text == "Not run: it needed somebody's approval, and nobody decided in time."
        assert asyncio.get_running_loop().time() == pytest.approx(DAY, abs=60)


@virtual_time
async def test_later_messages_wait_behind_it_and_keep_their_order() -> None:
    model = FunctionModel(by_message(go=call("pay", amount=5)))
    async with machine(agent(model)) as one:
        ref, first = await asked(one)
        later = [await ref.submit(text) for text in ("one", "two")]
        other = await ref.session("other").submit("three")
        await asyncio.sleep(100)
        assert len(model.requests) == 1
        assert (await ref.status()).queued == 4
        await ref.decide("c1", "approved")
        assert [(await each.result()).text for each in (first, *later, other)] == ["paid 5", "one", "two", "three"]
        assert await texts(ref) == ["go", "", "paid 5", "paid 5", "one", "one", "two", "two"]


@virtual_time
async def test_a_message_that_comes_in_the_moment_of_the_decision_waits_its_turn() -> None:
    async with machine(agent(FunctionModel(by_message(go=call("pay", amount=5))))) as one:
        ref, first = await asked(one)
        later, _ = await asyncio.gather(ref.submit("one"), ref.decide("c1", "approved"))
        assert ((await first.result()).text, (await later.result()).text) == ("paid 5", "one")
        assert await texts(ref) == ["go", "", "paid 5", "paid 5", "one", "one"]


@virtual_time
async def test_reject_finds_the_instance_busy_while_it_waits() -> None:
    async with machine(agent(once(call("pay", amount=5)))) as one:
        ref, _ = await asked(one)
        with pytest.raises(SessionBusyError):
            await ref.prompt("now", if_busy="reject")


@virtual_time
async def test_interrupt_ends_what_waits_and_takes_its_place() -> None:
    async with machine(agent(FunctionModel(by_message(go=call("pay", amount=5))))) as one:
        ref, first = await asked(one)
        assert (await ref.prompt("stop that", if_busy="interrupt")).text == "stop that"
        with pytest.raises(AbortedError):
            await first.result()
        with pytest.raises(ApprovalNotFoundError):
            await ref.decide("c1", "approved")
        assert PAID == []


@virtual_time
async def test_steer_joins_the_turn_once_it_goes_on() -> None:
    model = FunctionModel(by_message(go=call("pay", amount=5)))
    async with machine(agent(model)) as one:
        ref, first = await asked(one)
        steer = await ref.submit("hurry", if_busy="steer")
        await asyncio.sleep(10)
        await ref.decide("c1", "approved")
        assert (await steer.result()).text == (await first.result()).text == "hurry"
        assert await texts(ref) == ["go", "", "paid 5", "hurry", "hurry"]


@pytest.mark.parametrize("policy", ["merge", "supersede"])
@virtual_time
async def test_merge_and_supersede_are_about_what_has_not_begun(policy: IfBusy) -> None:
    async with machine(agent(FunctionModel(by_message(go=call("pay", amount=5))))) as one:
        ref, first = await asked(one)
        one_of_two = await ref.submit("one", if_busy=policy)
        two = await ref.submit("two", if_busy=policy)
        await ref.decide("c1", "approved")
        assert (await first.result()).text == "paid 5"
        assert (await two.result()).text == "two"
        if policy == "supersede":
            with pytest.raises(AbortedError):
                await one_of_two.result()
        else:
            assert (await one_of_two.result()).text == "two"


@virtual_time
async def test_an_abort_ends_what_waits_at_once_and_lets_the_next_one_in() -> None:
    async with machine(agent(FunctionModel(by_message(go=call("pay", amount=5))))) as one:
        ref, first = await asked(one)
        next_one = await ref.submit("next")
        assert await ref.abort_submission(first.submission_id)
        with pytest.raises(AbortedError):
            await first.result()
        assert (await next_one.result()).text == "next"
        assert await ref.approvals() == []
        assert PAID == []


@virtual_time
async def test_a_message_behind_it_can_be_aborted_while_it_waits() -> None:
    async with machine(agent(FunctionModel(by_message(go=call("pay", amount=5))))) as one:
        ref, first = await asked(one)
        behind = await ref.submit("behind")
        await asyncio.sleep(1)
        await ref.abort_submission(behind.submission_id)
        with pytest.raises(AbortedError):
            await behind.result()
        await ref.decide("c1", "approved")
        assert (await first.result()).text == "paid 5"


@pytest.mark.parametrize("whole", [True, False])
@virtual_time
async def test_erasing_ends_what_waits_and_leaves_nothing(whole: bool) -> None:
    async with machine(agent(once(call("pay", amount=5)))) as one:
        ref, first = await asked(one)
        await (ref.erase() if whole else ref.delete())
        with pytest.raises(AbortedError):
            await first.result()
        assert await ref.sessions() == []
        assert await one.store.unsettled() == []


@virtual_time
async def test_other_calls_of_the_reply_run_while_one_waits() -> None:
    async with machine(agent(once(call("nap", "n"), call("pay", amount=5)))) as one:
        ref, pending = await asked(one)
        assert results_in(await shown(ref)) == ["rested"]
        await ref.decide("c1", "approved")
        assert (await pending.result()).text == "rested | paid 5"
        assert len(results_in(await shown(ref))) == 2


@virtual_time
async def test_a_decision_while_other_calls_still_run_holds_when_they_are_done() -> None:
    async with machine(agent(once(call("nap", "n"), call("pay", amount=5)))) as one:
        ref = (await one.start()).ref("agent", "u1")
        pending = await ref.submit("go")
        await asyncio.sleep(1)
        await ref.decide("c1", "approved")
        assert PAID == []
        assert (await pending.result()).text == "rested | paid 5"
        assert await texts(ref) == ["go", "", "rested", "paid 5", "rested | paid 5"]
        assert PAID == [5]


@virtual_time
async def test_early_decisions_in_many_replies_are_no_reason_to_give_up() -> None:
    replies = [(call("nap", f"n{n}"), call("pay", f"p{n}", amount=n)) for n in range(12)]
    model = FunctionModel(lambda request: replies[len(model.requests) - 1] if len(model.requests) <= 12 else "done")
    async with machine(agent(model, durability=Durability(attempts=1))) as one:
        ref = (await one.start()).ref("agent", "u1")
        pending = await ref.submit("go")
        for n in range(12):
            await asyncio.sleep(1)
            await ref.decide(f"p{n}", "approved")
            await asyncio.sleep(4.5)
        assert (await pending.result()).text == "done"
        assert list(range(12)) == PAID


@virtual_time
async def test_a_decision_in_the_moment_the_other_calls_end_is_not_lost() -> None:
    for hops in range(12):
        async with machine(agent(once(call("nap", "n"), call("pay", amount=5)))) as one:
            ref = (await one.start()).ref("agent", "u1")
            pending = await ref.submit("go")
            await asyncio.sleep(5)
            for _ in range(hops):
                await asyncio.sleep(0)
            await ref.decide("c1", "approved")
            async with asyncio.timeout(10):
                assert (await pending.result()).text == "rested | paid 5"


@virtual_time
async def test_it_goes_on_when_every_call_of_the_reply_is_decided() -> None:
    async with machine(agent(once(call("pay", "a", amount=1), call("pay", "b", amount=2)))) as one:
        ref = (await one.start()).ref("agent", "u1")
        pending = await ref.submit("go")
        assert [each.partition(".")[0] for each in await until_asked(ref, 2)] == ["a", "b"]
        await ref.decide("b", "denied")
        await asyncio.sleep(100)
        assert [each.tool_call_id for each in await ref.approvals()] == ["a"]
        assert PAID == []
        await ref.decide("a", "approved")
        assert (await pending.result()).text == "paid 1 | Not run: it was not approved."


@virtual_time
async def test_a_decision_holds_for_one_call_even_where_a_model_repeats_its_ids() -> None:
    async with machine(agent(each_in_turn(call("pay", amount=5), call("pay", amount=5)))) as one:
        ref, pending = await asked(one)
        (first,) = await ref.approvals()
        await ref.decide(first.id, "approved")
        await until_asked(ref)
        await ref.decide(first.id, "approved")  # sent again, and one call too late
        with pytest.raises(ApprovalNotFoundError):
            await ref.decide("c1", "approved")
        (second,) = await ref.approvals()
        assert PAID == [5]
        await ref.decide(second.id, "denied")
        assert (await pending.result()).text == "paid 5 | Not run: it was not approved."


@virtual_time
async def test_a_decision_that_is_sent_again_is_none_on_another_sessions_call_of_the_same_id() -> None:
    async with machine(agent(once(call("pay", amount=5)), concurrency="session")) as one:
        ref, _ = await asked(one)
        (ours,) = await ref.approvals()
        theirs = await ref.session("other").submit("go")
        await until_asked(ref, 2)
        with pytest.raises(ApprovalNotFoundError):
            await ref.decide("c1", "approved")  # whose?
        await ref.decide(ours.id, "approved")
        with suppress(ApprovalNotFoundError):
            await ref.decide(ours.id, "approved")
        await asyncio.sleep(1)
        assert [each.submission_id for each in await ref.approvals()] == [theirs.submission_id]
        assert PAID == [5]


@virtual_time
async def test_the_same_decision_twice_is_fine_and_another_one_is_refused() -> None:
    async with machine(agent(once(call("pay", "a", amount=1), call("pay", "b", amount=2)))) as one:
        ref = (await one.start()).ref("agent", "u1")
        pending = await ref.submit("go")
        await until_asked(ref, 2)
        await ref.decide("a", "approved")
        await ref.decide("a", "approved")
        with pytest.raises(ApprovalDecidedError):
            await ref.decide("a", "denied")
        await ref.decide("b", "approved")
        await ref.decide("b", "approved")
        assert (await pending.result()).text == "paid 1 | paid 2"


@virtual_time
async def test_a_decision_that_is_sent_again_while_the_call_runs_is_fine() -> None:
    async with machine(agent(each_in_turn(call("pay", amount=5), call("nap", "n")))) as one:
        ref, pending = await asked(one)
        await ref.decide("c1", "approved")
        await asyncio.sleep(1)
        await ref.decide("c1", "approved")
        with pytest.raises(ApprovalDecidedError):
            await ref.decide("c1", "denied")
        assert (await pending.result()).text == "paid 5 | rested"
        with pytest.raises(ApprovalNotFoundError):
            await ref.decide("c1", "approved")


@virtual_time
async def test_two_people_who_decide_at_once_run_the_call_once() -> None:
    async with machine(agent(once(call("pay", amount=5)))) as one:
        ref, pending = await asked(one)
        await asyncio.gather(*[ref.decide("c1", "approved") for _ in range(5)], return_exceptions=True)
        assert (await pending.result()).text == "paid 5"
        assert PAID == [5]


@virtual_time
async def test_what_nobody_asked_for_cannot_be_decided() -> None:
    async with machine(agent(once(call("pay", amount=5)))) as one:
        ref, _ = await asked(one)
        for each in (ref, one.ref("agent", "u2")):
            with pytest.raises(ApprovalNotFoundError):
                await each.decide("c2", "approved")
        with pytest.raises(ApprovalNotFoundError):
            await one.ref("agent", "u2").decide("c1", "approved")


@virtual_time
async def test_the_time_it_waits_is_not_spent() -> None:
    async with machine(agent(once(call("pay", amount=5)), durability=Durability(timeout=10))) as one:
        ref, pending = await asked(one)
        await asyncio.sleep(3600)
        await ref.decide("c1", "approved")
        assert (await pending.result()).text == "paid 5"


@virtual_time
async def test_the_work_before_and_after_it_is_spent_together() -> None:
    model = each_in_turn(call("nap", "n", seconds=6), call("pay", amount=5), call("nap", "m", seconds=6))
    async with machine(agent(model, durability=Durability(timeout=10))) as one:
        ref, pending = await asked(one)
        await ref.decide("c1", "approved")
        with pytest.raises(DeadlineExceededError):
            await pending.result()


@virtual_time
async def test_an_instance_that_waits_leaves_memory_and_comes_back_for_the_decision() -> None:
    async with machine(agent(FunctionModel(by_message(go=call("pay", amount=5))))) as one:
        ref, pending = await asked(one)
        behind = await ref.submit("behind")
        await asyncio.sleep(1)
        await one.evict(ref)
        await ref.decide("c1", "approved")
        assert (await pending.result()).text == "paid 5"
        assert (await behind.result()).text == "behind"


@pytest.mark.parametrize("evicted", [True, False])
@virtual_time
async def test_with_sessions_side_by_side_only_its_own_session_waits(evicted: bool) -> None:
    model = FunctionModel(by_message(go=call("pay", amount=5)))
    async with machine(agent(model, concurrency="session")) as one:
        ref, pending = await asked(one)
        if evicted:
            await one.evict(ref)
        behind = await ref.submit("behind")
        assert (await ref.session("other").prompt("beside")).text == "beside"
        assert (await one.row(behind.submission_id)).status == "queued"
        await ref.decide("c1", "approved")
        assert ((await pending.result()).text, (await behind.result()).text) == ("paid 5", "behind")


@virtual_time
async def test_a_call_inside_a_task_is_decided_by_its_own_id() -> None:
    worker = define_agent_profile(name="worker", description="Works.", instructions="", tools=[pay])
    answer = by_message(go=call("task", "t", agent="worker", prompt="pay it"), **{"pay it": call("pay", amount=5)})
    one_agent = create_agent(model=FunctionModel(answer), instructions="", subagents=[worker])
    async with machine(one_agent) as one:
        ref, pending = await asked(one)
        (waiting,) = await ref.approvals()
        assert waiting.id.startswith("c1.")
        assert waiting.session.startswith("task:default:")
        await ref.decide(waiting.id, "approved")
        assert (await pending.result()).text == "paid 5"
        assert PAID == [5]
        assert len(await ref.sessions()) == 2


@virtual_time
async def test_a_detached_task_that_waits_keeps_nobody_waiting() -> None:
    worker = define_agent_profile(name="worker", description="Works.", instructions="", tools=[pay])
    given = call("task", "t", agent="worker", prompt="pay it", detached=True)
    answer = by_message(go=given, **{"pay it": call("pay", amount=5)})
    one_agent = create_agent(model=FunctionModel(answer), instructions="", subagents=[worker])
    async with machine(one_agent) as one:
        ref, _ = await asked(one)
        assert (await ref.prompt("next")).text == "next"
        await one.evict(ref)
        assert (await ref.prompt("another")).text == "another"
        assert PAID == []
        ref = (await one.restart()).ref("agent", "u1")
        assert (await ref.prompt("one more")).text == "one more"
        (waiting,) = await ref.approvals()
        await ref.decide(waiting.id, "approved")
        await asyncio.sleep(1)
        assert PAID == [5]
        assert any('"text": "paid 5"' in text for text in await texts(ref))
