"""Structured results: asked for, reminded of, given up, promised by the provider, and whole after a crash."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from flue_actors import create_agent, tool
from flue_actors.agent_ref import StructuredResult
from flue_actors.definition.limits import Limits
from flue_actors.errors import ConfigError, ResultUnavailableError, TurnLimitError
from flue_actors.messages import ToolCall, UserMessage, text_of
from flue_actors.models.protocol import ModelRequest
from flue_actors.testing import FunctionModel, ScriptedModel
from flue_actors.testing.replies import calls, reply
from tests.faults.validity import history_problems
from tests.runtime.machine import U1, Machine, machine, results_in, shown
from tests.runtime.models import call, each_in_turn
from tests.runtime.support import running, virtual_time

NATIVE = "scripted/echo?native=1"


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


class Cat(msgspec.Struct):
    name: str
    lives: int = 9


@tool
async def look() -> str:
    """Look."""
    await asyncio.sleep(1)
    return "a cat"


def agent(model: Any, **fields: Any) -> Any:
    return create_agent(model=model, instructions="", tools=[look], **fields)


@virtual_time
async def test_the_model_gives_the_result_with_a_tool_and_the_caller_gets_the_type() -> None:
    model = ScriptedModel([calls("look"), calls("finish", name="Tom")])
    async with running(agent(model)) as runtime:
        answer: StructuredResult[Cat] = await runtime.ref("agent", "u1").prompt("who?", result=Cat)
    assert answer.data == Cat("Tom")
    assert [each.name for each in model.requests[0].tools] == ["finish", "give_up", "look"]
    assert "finish" in text_of(model.requests[0].messages[0])


@virtual_time
async def test_a_result_that_is_no_object_comes_as_it_is() -> None:
    model = ScriptedModel([calls("finish", result=[1, 2])])
    async with running(agent(model)) as runtime:
        answer = await runtime.ref("agent", "u1").prompt("count", result=list[int])
    assert answer.data == [1, 2]


@virtual_time
async def test_a_wrong_result_is_told_and_may_be_put_right() -> None:
    model = ScriptedModel([calls("finish", name=3), calls("finish", name="Tom")])
    async with running(agent(model)) as runtime:
        ref = runtime.ref("agent", "u1")
        assert (await ref.prompt("who?", result=Cat)).data == Cat("Tom")
        assert "name" in results_in(await shown(ref))[0]


@virtual_time
async def test_plain_text_is_reminded_of_the_result() -> None:
    model = ScriptedModel(["It is Tom.", calls("finish", name="Tom")])
    async with running(agent(model)) as runtime:
        ref = runtime.ref("agent", "u1")
        assert (await ref.prompt("who?", result=Cat)).data == Cat("Tom")
        said = [text_of(each) for each in await shown(ref) if isinstance(each, UserMessage)]
        assert len(said) == 2
        assert "finish" in said[1]


@virtual_time
async def test_a_model_that_gives_up_says_why() -> None:
    async with running(agent(ScriptedModel([calls("give_up", reason="no cat")]))) as runtime:
        with pytest.raises(ResultUnavailableError) as told:
            await runtime.ref("agent", "u1").prompt("who?", result=Cat)
    assert told.value.meta is not None
    assert told.value.meta["reason"] == "no cat"


@virtual_time
async def test_the_model_is_reminded_thirty_two_times_and_no_more() -> None:
    model = FunctionModel(lambda _: "Hm.")
    async with running(agent(model)) as runtime:
        with pytest.raises(ResultUnavailableError):
            await runtime.ref("agent", "u1").prompt("who?", result=Cat)
    assert len(model.requests) == 33


@virtual_time
async def test_limits_hold_for_reminders_too() -> None:
    model = FunctionModel(lambda _: "Hm.")
    async with running(agent(model, limits=Limits(turns=3))) as runtime:
        with pytest.raises(TurnLimitError):
            await runtime.ref("agent", "u1").prompt("who?", result=Cat)
    assert len(model.requests) == 3


@virtual_time
async def test_a_result_beside_other_calls_ends_the_work_when_they_are_done() -> None:
    model = ScriptedModel([(calls("look"), calls("finish", name="Tom"))])
    async with running(agent(model)) as runtime:
        answer = await runtime.ref("agent", "u1").prompt("who?", result=Cat)
    assert answer.data == Cat("Tom")
    assert len(model.requests) == 1


@virtual_time
async def test_two_results_in_one_reply_are_one() -> None:
    model = ScriptedModel([(calls("finish", name="Tom"), calls("finish", name="Kit"))])
    async with running(agent(model)) as runtime:
        assert (await runtime.ref("agent", "u1").prompt("who?", result=Cat)).data == Cat("Tom")


@virtual_time
async def test_a_tool_of_the_agent_that_is_called_finish_is_in_the_way() -> None:
    @tool
    def finish() -> str:
        """End."""
        return ""

    async with running(create_agent(model=ScriptedModel(["ok"]), instructions="", tools=[finish])) as runtime:
        ref = runtime.ref("agent", "u1")
        with pytest.raises(Exception):  # noqa: B017  # which one is not promised, only that it ends
            await ref.prompt("who?", result=Cat)
        assert (await ref.prompt("hi")).text == "ok"


@virtual_time
async def test_the_next_message_wants_no_result() -> None:
    model = ScriptedModel([calls("finish", name="Tom"), "You are welcome."])
    async with running(agent(model)) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("who?", result=Cat)
        assert (await ref.prompt("thanks")).text == "You are welcome."
    assert [each.name for each in model.requests[1].tools] == ["look"]


@virtual_time
async def test_a_schema_gives_the_data_and_an_impossible_one_is_refused_at_once() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    async with running(agent(ScriptedModel([calls("finish", n=3)]))) as runtime:
        ref = runtime.ref("agent", "u1")
        assert (await ref.prompt("count", result=schema)).data == {"n": 3}
        with pytest.raises(ConfigError):
            await ref.prompt("count", result={"type": 3})


def native(said: Callable[[ModelRequest], Any]) -> FunctionModel:
    return FunctionModel(said)


async def ask_native(one: Machine, model: FunctionModel, message: str = "who?") -> Any:
    ref = (await one.start(models={NATIVE: model})).ref("agent", "u1")
    return await ref.prompt(message, result=Cat)


@virtual_time
async def test_a_provider_that_promises_the_shape_is_asked_for_it_and_given_no_tools() -> None:
    model = native(lambda _: '{"name": "Tom"}')
    async with machine(agent(NATIVE)) as one:
        assert (await ask_native(one, model)).data == Cat("Tom")
    (request,) = model.requests
    assert request.result_schema is not None
    assert [each.name for each in request.tools] == ["look"]
    assert text_of(request.messages[0]) == "who?"


@virtual_time
async def test_a_promise_that_is_not_kept_is_reminded_of() -> None:
    said = iter(["Tom", '{"name": 3}', '{"name": "Tom"}'])
    model = native(lambda _: next(said))
    async with machine(agent(NATIVE)) as one:
        assert (await ask_native(one, model)).data == Cat("Tom")
    assert len(model.requests) == 3


@virtual_time
async def test_a_promise_that_was_cut_off_is_asked_for_in_fewer_words() -> None:
    def said(request: ModelRequest) -> Any:
        told = text_of(request.messages[-1])
        return '{"name": "Tom"}' if "fewer words" in told else reply('{"name": "Tommaso d', stop_reason="length")

    model = native(said)
    async with machine(agent(NATIVE)) as one:
        assert (await ask_native(one, model)).data == Cat("Tom")
    assert len(model.requests) == 2


async def rest(one: Machine) -> None:
    for _ in range(200):
        if not await one.store.unsettled():
            break
        await asyncio.sleep(0.5)
    assert list(history_problems(await one.store.entries(U1, "default"), [])) == []


def by_tool() -> Any:
    return agent(each_in_turn(call("look", "l"), ToolCall(id="f", name="finish", arguments={"name": "Tom"})))


def reminded() -> Any:
    def said(request: ModelRequest) -> Any:
        again = sum(isinstance(each, UserMessage) for each in request.messages)
        return ToolCall(id="f", name="finish", arguments={"name": "Tom"}) if again > 1 else "It is Tom."

    return agent(FunctionModel(said))


@pytest.mark.parametrize("make", [by_tool, reminded])
@virtual_time
async def test_a_process_that_dies_behind_any_commit_gives_the_same_result(make: Callable[[], Any]) -> None:
    async with machine(make()) as one:
        await (await one.start()).ref("agent", "u1").prompt("who?", result=Cat)
        assert one.process is not None
        commits = one.process.commits
    for number in range(1, commits + 1):
        async with machine(make()) as one:
            ref = (await one.start(dies_after=number)).ref("agent", "u1")
            asking = asyncio.ensure_future(ref.prompt("who?", result=Cat, idempotency_key="k"))
            await asyncio.wait([asking], timeout=50)
            ref = (await one.restart()).ref("agent", "u1")
            answer = await ref.prompt("who?", result=Cat, idempotency_key="k")
            assert answer.data == Cat("Tom"), number
            await rest(one)


@virtual_time
async def test_reminders_of_earlier_attempts_count() -> None:
    model = FunctionModel(lambda request: "Hm.")
    async with machine(agent(model)) as one:
        ref = (await one.start(dies_after=40)).ref("agent", "u1")
        asking = asyncio.ensure_future(ref.prompt("who?", result=Cat, idempotency_key="k"))
        await asyncio.wait([asking], timeout=50)
        ref = (await one.restart()).ref("agent", "u1")
        with pytest.raises(ResultUnavailableError):
            await ref.prompt("who?", result=Cat, idempotency_key="k")
    assert len(model.requests) <= 35


@pytest.mark.parametrize("words", [3, 3_000])
async def test_much_data_is_checked_off_the_loop(words: int) -> None:
    checked_by: set[int] = set()

    class Words(msgspec.Struct):
        words: list[str]

        def __post_init__(self) -> None:
            checked_by.add(threading.get_ident())

    model = FunctionModel(lambda _: call("finish", words=["word"] * words))
    async with running(agent(model)) as runtime:
        pending = await runtime.ref("agent", "u1").submit("go", result=Words)
        assert (await pending.result()).data == {"words": ["word"] * words}
    assert (threading.get_ident() in checked_by) == (words == 3)
