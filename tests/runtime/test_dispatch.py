import asyncio
from typing import Any

import pytest

from flue_actors import (
    AgentConfig,
    AgentContext,
    Durability,
    Principal,
    create_agent,
    dispatch,
    memory_store,
    observe,
    tool,
)
from flue_actors.errors import InvalidRequestError, NoRuntimeError, UnknownAgentError
from flue_actors.messages import AssistantMessage, SignalMessage, ToolCall, text_of
from flue_actors.runtime import Runtime
from flue_actors.testing import ScriptedModel
from tests.runtime.support import running, virtual_time

ECHO = create_agent(model="scripted/echo", instructions="Echo.")


async def settled(runtime: Runtime, submission_id: str) -> Any:
    """The row once it has an outcome: a prompt behind it in the same mailbox proves it is done."""
    await runtime.ref("agent", "u1").prompt("after")
    return await runtime.store.submission(submission_id)


async def test_a_dispatch_returns_a_receipt_and_is_worked_on() -> None:
    async with running(ECHO) as runtime:
        receipt = await runtime.dispatch(ECHO, id="u1", input={"type": "paid"})
        row = await settled(runtime, receipt.submission_id)
    assert row.outcome == "completed"
    assert row.dispatch_id == receipt.dispatch_id
    assert receipt.accepted_at.endswith("Z")


async def test_the_model_is_shown_a_dispatch_as_a_signal_in_the_user_role() -> None:
    model = ScriptedModel(["ok", "ok"])
    async with running(create_agent(model=model, instructions="")) as runtime:
        receipt = await runtime.dispatch("agent", id="u1", input={"b": 1, "a": "<x>"})
        await settled(runtime, receipt.submission_id)
    (signal,) = model.requests[0].messages
    assert isinstance(signal, SignalMessage)
    assert signal.tag_name == "dispatch"
    assert signal.attributes["dispatchId"] == receipt.dispatch_id
    assert signal.content == '{\n  "a": "<x>",\n  "b": 1\n}'


async def test_a_dispatch_and_a_prompt_keep_the_order_of_acceptance() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        first = await ref.submit("one")
        await ref.dispatch({"n": 2})
        third = await ref.submit("three")
        await first.result()
        await third.result()
        order = [text_of(entry.message) for entry in await ref.history()][::2]
    assert order[0] == "one"
    assert '"n": 2' in order[1]
    assert order[2] == "three"


async def test_the_input_is_a_snapshot() -> None:
    model = ScriptedModel(["ok", "ok"])
    event: dict[str, Any] = {"items": [1]}
    async with running(create_agent(model=model, instructions="")) as runtime:
        receipt = await runtime.dispatch("agent", id="u1", input=event)
        event["items"].append(2)
        await settled(runtime, receipt.submission_id)
    assert "2" not in text_of(model.requests[0].messages[0])


_cycle: list[Any] = []
_cycle.append(_cycle)


@pytest.mark.parametrize("given", [float("nan"), float("inf"), object(), b"x", {1, 2}, _cycle, "\ud800", {"a": print}])
async def test_an_input_that_is_not_json_is_refused(given: object) -> None:
    store = memory_store()
    async with running(ECHO, store=store) as runtime:
        with pytest.raises(InvalidRequestError):
            await runtime.dispatch("agent", id="u1", input=given)
        assert await store.unsettled() == []


@pytest.mark.parametrize("given", [None, 0, "", [], {}])
async def test_every_json_value_may_be_dispatched(given: object) -> None:
    async with running(ECHO) as runtime:
        assert await runtime.dispatch("agent", id="u1", input=given)


async def test_an_unknown_agent_or_another_runtimes_is_refused() -> None:
    async with running(ECHO) as runtime:
        for agent in ("nobody", create_agent(model="scripted/echo")):
            with pytest.raises(UnknownAgentError):
                await runtime.dispatch(agent, id="u1", input=1)


async def test_the_short_form_works_inside_a_bound_runtime_and_in_tools() -> None:
    @create_agent
    def agent(ctx: AgentContext) -> AgentConfig:
        @tool
        async def remind() -> str:
            """Tell the other instance."""
            return (await dispatch("agent", id="u1", input="from a tool")).submission_id

        return AgentConfig(model="scripted/echo", tools=[remind])

    async with running(agent) as runtime:
        with runtime.bind():
            await dispatch(agent, id="u1", input="from outside")
        answer = await runtime.ref("agent", "u2").prompt("call remind")
        row = await settled(runtime, answer.text.removeprefix("echo: ").split()[0])
    assert row.outcome == "completed"


async def test_outside_of_a_runtime_the_short_form_says_what_to_call() -> None:
    with pytest.raises(NoRuntimeError) as error:
        await dispatch("agent", id="u1", input=1)
    assert "runtime.dispatch" in error.value.details
    with pytest.raises(NoRuntimeError):
        observe(print)


async def test_the_principal_reaches_the_initializer_and_the_row() -> None:
    seen: list[Principal | None] = []

    @create_agent
    def agent(ctx: AgentContext) -> AgentConfig:
        seen.append(ctx.principal)
        return AgentConfig(model="scripted/echo")

    who = Principal("ada", tenant="t", claims={"n": 1})
    async with running(agent) as runtime:
        receipt = await runtime.dispatch("agent", id="u1", input=1, principal=who)
        row = await settled(runtime, receipt.submission_id)
    assert seen[0] == who
    assert b"ada" in row.principal


async def test_a_tool_may_dispatch_to_its_own_instance() -> None:
    receipts: list[str] = []

    @tool
    async def remind_me() -> str:
        """Send this agent an event."""
        receipt = await dispatch("agent", id="u1", input={"type": "reminder"})
        receipts.append(receipt.submission_id)
        return "will do"

    model = ScriptedModel([ToolCall(id="1", name="remind_me", arguments={}), "done", "reminded", "after"])
    async with running(create_agent(model=model, instructions="", tools=[remind_me])) as runtime:
        assert (await runtime.ref("agent", "u1").prompt("go")).text == "done"
        row = await settled(runtime, receipts[0])
    assert (row.outcome, b"reminded" in row.result) == ("completed", True)


@virtual_time
async def test_what_a_tool_dispatches_does_not_share_the_budget_of_its_turn() -> None:
    @tool
    async def delegate() -> str:
        """Have another instance work on it."""
        await dispatch("worker", id="w", input={})
        return "delegated"

    boss = ScriptedModel([ToolCall(id="1", name="delegate", arguments={}), "done"])
    agents = {
        "boss": create_agent(model=boss, instructions="", tools=[delegate], durability=Durability(timeout=5)),
        "worker": create_agent(model="scripted/paced?deltas=20&rate=1", instructions=""),
    }
    async with Runtime(agents) as runtime:
        await runtime.ref("boss", "b").prompt("go")
        await asyncio.sleep(100)
        history = await runtime.ref("worker", "w").history()
    assert [type(entry.message) for entry in history] == [SignalMessage, AssistantMessage]
