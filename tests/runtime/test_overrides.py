"""What one message changes for itself: model, thinking level, tools."""

import asyncio
import logging
from typing import Any

import pytest

from flue_actors import create_agent, tool
from flue_actors.errors import ConfigError, FlueError, InvalidRequestError
from flue_actors.testing import FunctionModel
from tests.runtime.machine import machine
from tests.runtime.models import by_message, call
from tests.runtime.support import running, virtual_time


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@tool
async def look() -> str:
    """Look."""
    return "seen"


@tool
async def extra() -> str:
    """Do more."""
    await asyncio.sleep(5)
    return "more"


def agent(model: Any, **fields: Any) -> Any:
    return create_agent(model=model, instructions="Be kind.", tools=[look], **fields)


@pytest.mark.parametrize("model", ["nope/x", "jokes", ""])
async def test_a_message_for_a_model_that_there_is_not_is_not_accepted(model: str) -> None:
    async with running(agent("scripted/echo")) as runtime:
        ref = runtime.ref("agent", "u1")
        with pytest.raises(ConfigError):
            await ref.submit("hello", model=model)
        assert await ref.sessions() == []


@virtual_time
async def test_a_message_may_choose_its_model_and_the_next_one_has_the_agents_again() -> None:
    one, two = FunctionModel(lambda _: "one"), FunctionModel(lambda _: "two")
    models = {"scripted/echo": one, "scripted/jokes": two}
    async with machine(agent("scripted/echo")) as process:
        ref = (await process.start(models=models)).ref("agent", "u1")
        assert [(await ref.prompt("a")).text, (await ref.prompt("b", model="scripted/jokes")).text] == ["one", "two"]
        assert (await ref.prompt("c")).text == "one"
        frozen = {each.instance_text for each in (*one.requests, *two.requests)}
        assert len(frozen) == 1  # what the session keeps telling is not lost by it


@virtual_time
async def test_a_message_may_choose_how_much_is_thought() -> None:
    model = FunctionModel(by_message())
    async with running(agent(model, thinking_level="low")) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("a", thinking_level="high")
        await ref.prompt("b")
    assert [each.thinking for each in model.requests] == ["high", "low"]


@virtual_time
async def test_a_message_may_bring_tools_of_its_own() -> None:
    model = FunctionModel(by_message(go=call("extra")))
    async with running(agent(model)) as runtime:
        ref = runtime.ref("agent", "u1")
        assert (await ref.prompt("go", tools=[extra])).text == "more"
        await ref.prompt("next")
    assert [each.name for each in model.requests[0].tools] == ["extra", "look"]
    assert [each.name for each in model.requests[-1].tools] == ["look"]
    assert {each.instructions for each in model.requests} == {"Be kind."}


@virtual_time
async def test_tools_of_a_message_are_gone_after_a_restart_and_the_model_is_told_so() -> None:
    model = FunctionModel(by_message(go=call("extra")))
    async with machine(agent(model)) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("go", tools=[extra])
        await asyncio.sleep(1)
        ref = (await one.restart()).ref("agent", "u1")
        answer = await ref.wait(pending.submission_id)
        assert "extra" in answer.text


@virtual_time
async def test_what_a_message_chose_holds_after_a_restart() -> None:
    one, two = FunctionModel(lambda _: "one"), FunctionModel(by_message(go=call("look")))
    models = {"scripted/echo": one, "scripted/jokes": two}
    async with machine(agent("scripted/echo")) as process:
        await process.start(models=models, dies_after=3)
        ref = process.ref("agent", "u1")
        asking = asyncio.ensure_future(
            ref.prompt("go", model="scripted/jokes", thinking_level="high", idempotency_key="k")
        )
        await asyncio.wait([asking], timeout=10)
        ref = (await process.restart(models=models)).ref("agent", "u1")
        answer = await ref.prompt("go", model="scripted/jokes", thinking_level="high", idempotency_key="k")
        assert answer.text != "one"
        assert one.requests == []
        assert {each.thinking for each in two.requests} == {"high"}


@pytest.mark.parametrize("how", [{"model": "nonsense"}, {"thinking_level": "huge"}, {"limits": 3}])
@virtual_time
async def test_what_cannot_be_is_refused_before_anything_is_recorded(how: dict[str, Any]) -> None:
    async with machine(agent(FunctionModel(by_message()))) as one:
        ref = (await one.start()).ref("agent", "u1")
        with pytest.raises(FlueError) as told:
            await ref.prompt("go", **how)
        assert isinstance(told.value, InvalidRequestError) or told.value.type == "config_error"
        assert await ref.history() == []


@virtual_time
async def test_a_message_with_wishes_of_its_own_joins_no_other_turn() -> None:
    model = FunctionModel(by_message(go=call("extra")))
    async with running(create_agent(model=model, instructions="", tools=[extra])) as runtime:
        ref = runtime.ref("agent", "u1")
        first = await ref.submit("go")
        await asyncio.sleep(1)
        steer = await ref.submit("alone", if_busy="steer", thinking_level="high")
        assert (await first.result()).text == "more"
        assert (await steer.result()).text == "alone"
    assert model.requests[-1].thinking == "high"
