"""Tools that somebody has to approve: asked, decided and told the same way."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flue_actors import define_agent_profile, tool
from tests.paths.scripts import call, one_by_one, script
from tests.paths.shapes import CITY, NATIVE, TOOLS
from tests.paths.stage import staged
from tests.paths.transports import Decision


@tool(approval=True)
async def pay(amount: int) -> str:
    """Pay somebody."""
    return f"paid {amount}"


@tool
async def look() -> str:
    """Look."""
    return "looked"


DECISIONS: list[tuple[Decision, str | None, str]] = [
    ("approve", None, "paid 5"),
    ("deny", None, "Not run: it was not approved."),
    ("deny", "too much", "They say: too much"),
]
"""With what the model is told."""


async def test_a_call_runs_or_does_not_as_was_decided(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, tools=[pay]) as stage, stage.open(transport) as person:
        for decision, reason, told in DECISIONS:
            saying = asyncio.create_task(person.say(call("pay", amount=5)))
            (waiting,) = await stage.asked(person)
            await person.decide(waiting["id"], decision, reason)
            outcome = await saying
            assert (waiting["toolName"], waiting["args"], waiting["session"]) == ("pay", {"amount": 5}, "default")
            assert outcome.error is None
            assert told in outcome.text
        assert await person.approvals() == []


async def test_calls_of_one_reply_are_decided_apart_and_the_others_do_not_wait(
    model: str, transport: str, tmp_path: Path
) -> None:
    async with staged(model, tmp_path, tools=[pay, look]) as stage, stage.open(transport) as person:
        saying = asyncio.create_task(person.say(script(call("pay", amount=1), call("look"), call("pay", amount=2))))
        first, second = await stage.asked(person, 2)
        await person.decide(second["id"], "approve")
        assert await stage.asked(person, 1) == [first]
        await person.decide(first["id"], "deny")
        outcome = await saying
    assert "Not run: it was not approved." in outcome.text
    assert outcome.text.index("looked") < outcome.text.index("paid 2")


async def test_one_decision_after_the_other(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, tools=[pay, look]) as stage, stage.open(transport) as person:
        said = one_by_one(call("pay", amount=1), call("look"), call("pay", amount=2))
        saying = asyncio.create_task(person.say(said))
        for amount in (1, 2):
            (waiting,) = await stage.asked(person)
            assert waiting["args"] == {"amount": amount}
            await person.decide(waiting["id"], "approve")
            await decided(stage, waiting)
        outcome = await saying
        results = await stage.results()
    assert "paid 2" in outcome.text
    assert results == ["paid 1", "looked", "paid 2"]


async def decided(stage: Any, waiting: dict[str, Any]) -> None:
    """Wait until it does not wait any more."""
    async with asyncio.timeout(10):
        while waiting["id"] in [each.id for each in await stage.ref.approvals()]:
            await asyncio.sleep(0.005)


async def test_what_waits_is_decided_after_idle_times_and_a_restart(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, tools=[pay]) as stage:
        async with stage.open("receipt") as person:
            receipt = await stage.ref.dispatch(call("pay", amount=5))
            (waiting,) = await stage.asked(person)
        await stage.evict()
        await stage.restart()
        async with stage.open(transport) as person:
            assert await stage.asked(person) == [waiting]
            await person.decide(waiting["id"], "approve")
            answer = await stage.ref.wait(receipt.submission_id)
            after = await person.say("answer later")
    assert "paid 5" in answer.text
    assert after.text == "later"


async def test_a_subagents_call_is_decided_like_any_other(model: str, transport: str, tmp_path: Path) -> None:
    worker = define_agent_profile(name="worker", description="Works.", tools=[pay])
    async with staged(model, tmp_path, subagents=[worker]) as stage, stage.open(transport) as person:
        said = call("task", agent="worker", prompt=call("pay", amount=7))
        saying = asyncio.create_task(person.say(said))
        (waiting,) = await stage.asked(person)
        await person.decide(waiting["id"], "approve")
        outcome = await saying
    assert waiting["session"].startswith("task:default:")
    assert "paid 7" in outcome.text


async def test_a_detached_subagents_call_is_decided_while_its_parent_goes_on(
    model: str, transport: str, tmp_path: Path
) -> None:
    worker = define_agent_profile(name="worker", description="Works.", tools=[pay])
    async with staged(model, tmp_path, subagents=[worker], concurrency="session") as stage:
        async with stage.open(transport) as person:
            await person.say(call("task", agent="worker", prompt=call("pay", amount=7), detached=True))
            (waiting,) = await stage.asked(person)
            meanwhile = await person.say("answer meanwhile")
            await person.decide(waiting["id"], "approve")
            told = await stage.report()
    assert meanwhile.text == "meanwhile"
    assert "paid 7" in told["text"]


async def test_what_waits_can_be_aborted(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, tools=[pay]) as stage, stage.open(transport) as person:
        saying = asyncio.create_task(person.say(call("pay", amount=1)))
        await stage.asked(person)
        await stage.ref.abort()
        outcome = await saying
        left = await person.approvals()
        after = await person.say("answer later")
    assert (outcome.error, left, after.text) == ("aborted", [], "later")


@pytest.mark.parametrize("kind", ["tools", "native"])
async def test_a_result_is_given_after_a_decision_behind_a_restart(
    kind: str, model: str, carrying: str, tmp_path: Path
) -> None:
    given = 'answer {"city": "Kiel"}' if kind == "native" else call("finish", city="Kiel")
    async with staged(model, tmp_path, name=(NATIVE if kind == "native" else TOOLS)[model], tools=[pay]) as stage:
        submitted = await stage.ref.submit(one_by_one(call("pay", amount=1), given), result=CITY)
        await stage.restart()
        async with stage.open(carrying) as person:
            (waiting,) = await stage.asked(person)
            await person.decide(waiting["id"], "approve")
            answer = await stage.ref.wait(submitted.submission_id)
    assert answer.data == {"city": "Kiel"}


async def test_a_detached_subagents_call_is_decided_behind_a_restart(
    model: str, transport: str, tmp_path: Path
) -> None:
    worker = define_agent_profile(name="worker", description="Works.", tools=[pay])
    async with staged(model, tmp_path, subagents=[worker]) as stage:
        async with stage.open(transport) as person:
            await person.say(call("task", agent="worker", prompt=call("pay", amount=7), detached=True))
            await stage.asked(person)
        await stage.restart()
        async with stage.open(transport) as person:
            (waiting,) = await stage.asked(person)
            await person.decide(waiting["id"], "deny", "too much")
            told = await stage.report()
    assert "They say: too much" in told["text"]
