"""Caps on what a message and an instance may use up."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from flue_actors import create_agent, define_agent_profile, tool
from flue_actors.definition.fields import Durability
from flue_actors.definition.limits import Compaction, Limits
from flue_actors.errors import (
    AttemptsExhaustedError,
    CostLimitError,
    DeadlineExceededError,
    InstanceLimitError,
    InternalError,
    TokenLimitError,
    TurnError,
    TurnLimitError,
)
from flue_actors.messages import Usage, text_of
from flue_actors.models.protocol import ModelEvent, ModelRequest, TextDelta
from flue_actors.testing import FunctionModel, ScriptedModel, VirtualClock
from flue_actors.testing.replies import calls, reply
from tests.runtime.machine import machine, results_in, shown
from tests.runtime.models import call, each_in_turn
from tests.runtime.support import running, virtual_time

PRICED = "anthropic/claude-haiku-4-5"
DOLLAR = Usage(output=200_000, total_tokens=200_000)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@tool
async def look() -> str:
    """Look."""
    return "nothing"


@tool(idempotent=True)
async def nap(seconds: float = 5) -> str:
    """Sleep."""
    await asyncio.sleep(seconds)
    return "rested"


@tool
async def shout() -> str:
    """Say much."""
    return "a" * 5000


def endless() -> FunctionModel:
    """Looks again and again, 100 tokens each time; without tools it answers."""

    def said(request: ModelRequest) -> Any:
        part = calls("look") if request.use_tools else "as far as I know"
        return reply(part, usage=Usage(input=80, output=20, total_tokens=100))

    return FunctionModel(said)


def agent(model: Any, limits: Limits | None = None, **fields: Any) -> Any:
    return create_agent(model=model, instructions="", tools=[look, nap, shout], limits=limits, **fields)


@pytest.mark.parametrize(
    ("limits", "error", "asked"),
    [
        (Limits(turns=3), TurnLimitError, 3),
        (Limits(tokens=250), TokenLimitError, 3),
        (Limits(tokens=300), TokenLimitError, 3),
        (Limits(total_tokens=150), InstanceLimitError, 2),
    ],
)
@virtual_time
async def test_the_call_that_crosses_a_cap_is_the_last_one(limits: Limits, error: type[TurnError], asked: int) -> None:
    model = endless()
    async with running(agent(model, limits)) as runtime:
        with pytest.raises(error):
            await runtime.ref("agent", "u1").prompt("go")
    assert len(model.requests) == asked


@pytest.mark.parametrize("limits", [Limits(turns=3, last_answer=True), Limits(tokens=250, last_answer=True)])
@virtual_time
async def test_with_a_last_answer_the_model_is_asked_once_more_without_tools(limits: Limits) -> None:
    model = endless()
    async with running(agent(model, limits)) as runtime:
        answer = await runtime.ref("agent", "u1").prompt("go")
    assert answer.text == "as far as I know"
    assert answer.stop_reason == ("turn_limit" if limits.turns else "token_limit")
    assert len(model.requests) == 4
    assert [each.use_tools for each in model.requests] == [True, True, True, False]


@virtual_time
async def test_a_whole_life_that_is_used_up_has_no_last_answer() -> None:
    model = endless()
    async with running(agent(model, Limits(total_tokens=150, last_answer=True))) as runtime:
        ref = runtime.ref("agent", "u1")
        for asked in (2, 2):  # the second message is not even begun
            with pytest.raises(InstanceLimitError):
                await ref.prompt("go")
            assert len(model.requests) == asked
        with pytest.raises(InstanceLimitError):
            await runtime.ref("agent", "u2").prompt("go")  # another instance has a life of its own


@virtual_time
async def test_what_an_instance_used_is_known_after_a_restart() -> None:
    model = FunctionModel(lambda _: reply("ok", usage=Usage(input=80, output=20, total_tokens=100)))
    async with machine(agent(model, Limits(total_tokens=250))) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.prompt("one")
        await one.evict(ref)
        await ref.prompt("two")
        ref = (await one.restart()).ref("agent", "u1")
        await ref.prompt("three")
        with pytest.raises(InstanceLimitError):
            await ref.prompt("four")
        assert len(model.requests) == 3


@virtual_time
async def test_a_cap_on_cost_counts_what_the_provider_charges() -> None:
    model = FunctionModel(lambda _: reply(calls("look"), usage=Usage(input=1_000_000, total_tokens=1_000_000)))
    async with machine(agent(PRICED, Limits(cost=1.5))) as one:
        ref = (await one.start(models={PRICED: model})).ref("agent", "u1")
        with pytest.raises(CostLimitError):
            await ref.prompt("go")
        assert len(model.requests) == 2  # a dollar each


@virtual_time
async def test_a_cap_on_cost_needs_a_price() -> None:
    async with running(agent(endless(), Limits(cost=1.0))) as runtime:
        with pytest.raises(InternalError):
            await runtime.ref("agent", "u1").prompt("go")


@pytest.mark.parametrize("limits", [Limits(cost=1.5), Limits(total_cost=1.5)])
@virtual_time
async def test_a_cap_on_cost_holds_after_a_reply_that_was_cut_off(limits: Limits) -> None:

    async def cut_off(_: ModelRequest) -> AsyncGenerator[ModelEvent]:
        yield TextDelta("half of ")
        await asyncio.Event().wait()

    script: list[Any] = [
        reply(calls("look"), usage=DOLLAR),
        cut_off,
        cut_off,
        *[reply(calls("look"), usage=DOLLAR)] * 9,
    ]
    model = ScriptedModel(script)
    async with machine(agent(PRICED, limits)) as one:
        ref = (await one.start(models={PRICED: model})).ref("agent", "u1")
        pending = await ref.submit("go")
        for _ in range(2):
            await asyncio.sleep(7)
            ref = (await one.restart(models={PRICED: model})).ref("agent", "u1")
        with pytest.raises(CostLimitError if limits.cost else InstanceLimitError):
            await ref.wait(pending.submission_id)
    assert len(model.requests) == 4


@virtual_time
async def test_a_cap_on_an_instances_cost_is_not_lost_on_what_cost_an_unknown_sum() -> None:
    model = FunctionModel(lambda _: reply("ok", usage=DOLLAR))
    async with machine(agent(model, Limits(total_tokens=10**9))) as one:
        await (await one.start()).ref("agent", "u1").prompt("for nobody knows how much")
        ref = (await one.restart(agent(PRICED, Limits(total_cost=1.5)), models={PRICED: model})).ref("agent", "u1")
        await ref.prompt("a dollar")
        with pytest.raises(InstanceLimitError):
            await ref.prompt("and another one")
            await ref.prompt("one too many")


@virtual_time
async def test_what_works_below_a_cap_on_cost_needs_a_price_too() -> None:
    profile = define_agent_profile(name="helper", description="Helps.", model="scripted/echo", instructions="")
    dear = ScriptedModel([calls("task", agent="helper", prompt="go"), "done"])
    async with machine(agent(PRICED, Limits(cost=5.0), subagents=[profile])) as one:
        ref = (await one.start(models={PRICED: dear})).ref("agent", "u1")
        await ref.prompt("go")
        assert results_in(await shown(ref)) == ["The tool failed (ConfigError)."]


@virtual_time
async def test_summaries_below_a_cap_on_cost_need_a_price_too() -> None:
    summarised = agent(PRICED, Limits(cost=5.0), compaction=Compaction(model="scripted/echo"))
    async with machine(summarised) as one:
        runtime = await one.start(models={PRICED: FunctionModel(lambda _: "ok")})
        with pytest.raises(InternalError):
            await runtime.ref("agent", "u1").prompt("go")


@virtual_time
async def test_a_cap_on_cost_that_nobody_can_keep_is_told_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with running(agent("scripted/echo", Limits(cost=1.0))):
        pass
    assert 'agent "agent" will not answer: The prices of model "echo" are not known' in caplog.text


@virtual_time
async def test_a_message_brings_limits_of_its_own() -> None:
    model = endless()
    async with running(agent(model, Limits(turns=5))) as runtime:
        ref = runtime.ref("agent", "u1")
        with pytest.raises(TurnLimitError):
            await ref.prompt("go", limits=Limits(turns=2))
        assert len(model.requests) == 2
        with pytest.raises(TurnLimitError):
            await ref.prompt("go")
        assert len(model.requests) == 7


@virtual_time
async def test_a_message_cannot_lift_the_cap_on_the_instances_life() -> None:
    async with running(agent(endless(), Limits(total_tokens=150))) as runtime:
        with pytest.raises(InstanceLimitError):
            await runtime.ref("agent", "u1").prompt("go", limits=Limits(total_tokens=10_000))


@pytest.mark.parametrize(("own", "given", "after"), [(10, None, 10), (None, 10, 10), (100, 10, 10), (200, None, 60)])
@virtual_time
async def test_a_cap_on_seconds_ends_the_work(own: float | None, given: float | None, after: float) -> None:
    model = FunctionModel(lambda _: calls("nap", seconds=100))
    limits = None if own is None else Limits(seconds=own)
    async with running(agent(model, limits, durability=Durability(timeout=60))) as runtime:
        with pytest.raises(DeadlineExceededError):
            await runtime.ref("agent", "u1").prompt("go", limits=None if given is None else Limits(seconds=given))
        assert asyncio.get_running_loop().time() == pytest.approx(after, abs=0.5)


@virtual_time
async def test_seconds_count_over_all_attempts() -> None:
    model = each_in_turn(call("nap", "a", seconds=6), call("nap", "b", seconds=6))
    async with machine(agent(model, Limits(seconds=10))) as one:
        ref = (await one.start(clock=VirtualClock())).ref("agent", "u1")
        pending = await ref.submit("go")
        await asyncio.sleep(7)
        await one.stop()
        await asyncio.sleep(1000)
        ref = (await one.start(clock=VirtualClock())).ref("agent", "u1")
        began = asyncio.get_running_loop().time()
        with pytest.raises(DeadlineExceededError):
            await ref.wait(pending.submission_id)
        assert asyncio.get_running_loop().time() - began <= 4


@pytest.mark.parametrize(("limit", "size"), [(None, 5000), (100, 100)])
@virtual_time
async def test_a_tools_answer_is_cut_where_the_limits_say(limit: int | None, size: int) -> None:
    limits = Limits(tool_output=limit) if limit else None
    async with running(agent(each_in_turn(call("shout")), limits)) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("go")
        (text,) = results_in(await shown(ref))
    assert text.count("a") - text.count("all") == size


@virtual_time
async def test_turns_of_an_earlier_attempt_count() -> None:
    model = FunctionModel(lambda _: calls("nap"))
    async with machine(agent(model, Limits(turns=3))) as one:
        ref = (await one.start()).ref("agent", "u1")
        pending = await ref.submit("go")
        await asyncio.sleep(7)
        ref = (await one.restart()).ref("agent", "u1")
        with pytest.raises(TurnLimitError):
            await ref.wait(pending.submission_id)
    assert len(model.requests) == 3


@virtual_time
async def test_what_is_given_up_after_a_restart_counts_for_the_instances_life() -> None:
    model = FunctionModel(
        lambda _: reply(call("nap", seconds=1000), usage=Usage(input=80, output=20, total_tokens=100))
    )
    async with machine(agent(model, Limits(total_tokens=150), durability=Durability(attempts=1))) as one:
        ref = (await one.start()).ref("agent", "u1")
        pending = await ref.submit("go")
        await asyncio.sleep(5)
        ref = (await one.restart()).ref("agent", "u1")
        with pytest.raises(AttemptsExhaustedError):
            await ref.wait(pending.submission_id)
        with pytest.raises(InstanceLimitError):
            await ref.prompt("once more")
    assert len(model.requests) == 2  # its calls are not run


@virtual_time
async def test_what_detached_tasks_use_counts_for_the_instances_life() -> None:
    def said(request: ModelRequest) -> Any:
        usage = Usage(input=80, output=20, total_tokens=100)
        if text_of(request.messages[-1]) == "go":
            return reply(call("task", agent="worker", prompt="work", detached=True), usage=usage)
        return reply("done", usage=usage)

    worker = define_agent_profile(name="worker", description="Works.", instructions="")
    async with machine(agent(FunctionModel(said), Limits(total_tokens=400), subagents=[worker])) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.prompt("go")  # twice its model, once the task's, and once for the report
        await asyncio.sleep(5)
        with pytest.raises(InstanceLimitError):
            await ref.prompt("once more")
