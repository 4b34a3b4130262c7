"""Subagents: what a task is given and gives back, what runs side by side, and what ends with what."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from flue_actors import AgentProfile, Principal, ToolContext, create_agent, define_agent_profile, tool
from flue_actors.definition.agent import CreatedAgent
from flue_actors.definition.limits import Limits
from flue_actors.definition.settings import Settings
from flue_actors.errors import (
    AbortedError,
    DeadlineExceededError,
    InvalidRequestError,
    ModelError,
    QueueFullError,
    SubagentNotFoundError,
    ToolFailedError,
    TurnLimitError,
)
from flue_actors.events import Event, Task, TaskStart
from flue_actors.messages import SignalMessage, ToolResultMessage, UserMessage, text_of
from flue_actors.models.protocol import ModelRequest
from flue_actors.testing import FunctionModel
from flue_actors.testing.replies import Written
from tests.runtime.machine import machine, shown
from tests.runtime.models import by_message, call, results
from tests.runtime.support import running, virtual_time


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@tool
async def nap(seconds: float = 5) -> str:
    """Sleep."""
    await asyncio.sleep(seconds)
    return f"rested {seconds:g}"


@tool
async def whoami(ctx: ToolContext) -> str:
    """Where it runs."""
    return f"{ctx.agent.id} {ctx.principal.subject if ctx.principal else None}"


def task(prompt: str, id: str = "t1", agent: str = "worker", **more: Any) -> Any:
    return call("task", id, agent=agent, prompt=prompt, **more)


def worker(**fields: Any) -> AgentProfile:
    given: dict[str, Any] = {"name": "worker", "description": "Works.", "instructions": "W", **fields}
    return define_agent_profile(**given)


def parent(model: FunctionModel, *subagents: AgentProfile, **fields: Any) -> CreatedAgent:
    return create_agent(model=model, instructions="P", subagents=subagents or [worker()], **fields)


@virtual_time
async def test_a_task_begins_with_nothing_but_its_prompt_and_its_own_tools() -> None:
    model = FunctionModel(by_message(go=task("look"), look=call("nap")))
    async with running(parent(model, worker(tools=[nap]), tools=[whoami])) as runtime:
        answer = await runtime.ref("agent", "u1").prompt("go")
    assert answer.text == "rested 5"
    child = model.requests[1]
    assert [text_of(each) for each in child.messages] == ["look"]
    assert child.instructions == "W"
    assert [each.name for each in child.tools] == ["nap"]
    assert [each.name for each in model.requests[0].tools] == ["task", "whoami"]


@virtual_time
async def test_a_task_has_the_model_the_thinking_level_and_the_principal_of_its_parent() -> None:
    model = FunctionModel(by_message(go=task("who"), who=call("whoami")))
    async with running(parent(model, worker(tools=[whoami]), thinking_level="high")) as runtime:
        answer = await runtime.ref("agent", "u1").prompt("go", principal=Principal("ada"))
    assert answer.text == "u1 ada"
    assert [each.thinking for each in model.requests] == ["high"] * 4


@virtual_time
async def test_tasks_of_one_reply_run_side_by_side() -> None:
    tasks = tuple([task("sleep", f"t{n}") for n in range(3)])
    model = FunctionModel(by_message(go=tasks, sleep=call("nap")))
    async with running(parent(model, worker(tools=[nap]))) as runtime:
        answer = await runtime.ref("agent", "u1").prompt("go")
        assert asyncio.get_running_loop().time() == pytest.approx(5, abs=0.5)
        assert answer.text == "rested 5 | rested 5 | rested 5"
        sessions = [each.name for each in await runtime.ref("agent", "u1").sessions()]
        assert len({each for each in sessions if each.startswith("task:default:")}) == 3


@virtual_time
async def test_only_so_many_work_at_a_time_and_the_others_take_their_turn() -> None:
    tasks = tuple([task("sleep", f"t{n}") for n in range(7)])
    model = FunctionModel(by_message(go=tasks, sleep=call("nap")))
    async with running(parent(model, worker(tools=[nap])), settings=Settings(max_children=3)) as runtime:
        answer = await runtime.ref("agent", "u1").prompt("go")
        assert asyncio.get_running_loop().time() == pytest.approx(15, abs=0.5)
        assert answer.text.count("rested") == 7


def nested(depth: int) -> AgentProfile:
    below = [nested(depth - 1)] if depth > 1 else []
    return define_agent_profile(name=f"w{depth}", description="Works.", instructions="", subagents=below)


@pytest.mark.parametrize(("depth", "said"), [(4, "bottom"), (5, "Tasks nest too deep: do this yourself.")])
@virtual_time
async def test_tasks_nest_four_deep_and_no_deeper(depth: int, said: str) -> None:
    def answer(request: ModelRequest) -> Written:
        if found := results(request.messages):
            return found[-1]
        tools = {each.name: each for each in request.tools}
        if "task" not in tools:
            return "bottom"
        (name,) = tools["task"].parameters["properties"]["agent"]["enum"]
        return task("deeper", agent=name)

    async with running(parent(FunctionModel(answer), nested(depth))) as runtime:
        assert (await runtime.ref("agent", "u1").prompt("go")).text == said


@virtual_time
async def test_usage_is_told_apart_into_own_and_total() -> None:
    model = FunctionModel(by_message(go=(task("a"), task("b", "t2"))))
    async with running(parent(model)) as runtime:
        ref = runtime.ref("agent", "u1")
        answer = await ref.prompt("go")
        used = [each.details["usage"]["output"] for each in await shown(ref) if isinstance(each, ToolResultMessage)]
    assert not isinstance(answer.total_usage, msgspec.UnsetType)
    assert all(used)
    assert answer.total_usage.output == answer.usage.output + sum(used)


@virtual_time
async def test_a_task_that_fails_is_an_error_result_for_its_parent_alone() -> None:
    def answer(request: ModelRequest) -> Any:
        said = by_message(go=(task("bad"), task("good", "t2")))(request)
        return ModelError(retryable=False, dev="sk-secret") if said == "bad" else said

    async with running(parent(FunctionModel(answer))) as runtime:
        ref = runtime.ref("agent", "u1")
        answered = await ref.prompt("go")
        first, second = [each for each in await shown(ref) if isinstance(each, ToolResultMessage)]
    assert (first.is_error, second.is_error) == (True, False)
    assert text_of(first).startswith("The task failed: ")
    assert "sk-secret" not in answered.text


@virtual_time
async def test_the_events_of_a_task_are_seen_in_its_parents_stream() -> None:
    model = FunctionModel(by_message(go=task("look"), look=call("nap")))
    seen: list[Event] = []
    async with running(parent(model, worker(tools=[nap]))) as runtime:
        async for event in runtime.ref("agent", "u1").stream("go"):
            seen.append(event)
    tags = [str(type(each).__struct_config__.tag) for each in seen]
    assert tags.index("task_start") < tags.index("task")
    (begun,) = [each for each in seen if isinstance(each, TaskStart)]
    (ended,) = [each for each in seen if isinstance(each, Task)]
    assert (begun.prompt, begun.agent, begun.parent_session) == ("look", "worker", "default")
    assert (ended.is_error, ended.result, ended.task_id) == (False, "rested 5", begun.task_id)
    inner = [each for each in seen if getattr(each, "task_id", None) == begun.task_id]
    assert {"tool_start", "tool_call", "message_end"} <= {str(type(each).__struct_config__.tag) for each in inner}
    assert all(each.parent_session == "default" for each in inner)


@virtual_time
async def test_an_abort_ends_the_tasks_too_and_what_they_did_is_never_heard_of() -> None:
    ended: list[str] = []

    @tool
    async def hang() -> str:
        """Hang."""
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("hang")
        return ""

    deep = worker(name="deep", tools=[hang])
    model = FunctionModel(
        by_message(
            go=(task("a"), task("b", "t2")), a=task("c", agent="deep"), b=task("c", agent="deep"), c=call("hang")
        )
    )
    async with running(parent(model, worker(subagents=[deep]))) as runtime:
        ref = runtime.ref("agent", "u1")
        pending = await ref.submit("go")
        await asyncio.sleep(1)
        assert (len(runtime.snapshot().actors.actors), ended) == (5, [])
        await ref.abort()
        with pytest.raises(AbortedError):
            await pending.result()
        assert ended == ["hang", "hang"]
        await asyncio.sleep(1)
        assert len(runtime.snapshot().actors.actors) == 1
        assert (await ref.prompt("again")).text == "again"


@virtual_time
async def test_a_task_that_ignores_its_cancellation_holds_nobody_up_for_longer_than_the_grace() -> None:
    let_go = asyncio.Event()

    @tool
    async def stubborn() -> str:
        """Go on and on."""
        while not let_go.is_set():
            with suppress(asyncio.CancelledError):
                await let_go.wait()
        return ""

    model = FunctionModel(by_message(go=task("a"), a=call("stubborn")))
    async with running(parent(model, worker(tools=[stubborn])), settings=Settings(cancel_grace=3)) as runtime:
        ref = runtime.ref("agent", "u1")
        pending = await ref.submit("go")
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await ref.abort()
        with pytest.raises(AbortedError):
            await pending.result()
        assert asyncio.get_running_loop().time() - began <= 15
        assert (await ref.prompt("again")).text == "again"
        let_go.set()


@virtual_time
async def test_a_task_past_the_model_answers_its_caller() -> None:
    model = FunctionModel(by_message(look=call("nap")))
    async with running(parent(model, worker(tools=[nap]))) as runtime:
        ref = runtime.ref("agent", "u1")
        answer = await ref.task("look")
        assert answer.text == "rested 5"
        assert [text_of(each) for each in model.requests[0].messages] == ["look"]
        await ref.prompt("next")
        told = [each for each in model.requests[-1].messages if isinstance(each, ToolResultMessage)]
        assert [text_of(each) for each in told] == ["rested 5"]
        assert any(isinstance(each, UserMessage) and text_of(each) == "look" for each in model.requests[-1].messages)


@virtual_time
async def test_a_task_for_nobody_is_refused() -> None:
    async with running(parent(FunctionModel(by_message()), worker(), worker(name="other"))) as runtime:
        ref = runtime.ref("agent", "u1")
        for name in (None, "nobody"):
            with pytest.raises(SubagentNotFoundError) as told:
                await ref.task("look", agent=name)
            assert told.value.meta == {"subagents": ["other", "worker"]}
        with pytest.raises(InvalidRequestError):
            await ref.task(" ")
        assert (await ref.task("look", agent="other")).text == "look"


@virtual_time
async def test_a_task_past_the_model_that_fails_fails_its_caller() -> None:
    model = FunctionModel(lambda _: ModelError(retryable=False))
    async with running(parent(model)) as runtime:
        with pytest.raises(ToolFailedError):
            await runtime.ref("agent", "u1").task("look")


@virtual_time
async def test_the_limits_of_a_parent_count_what_its_tasks_use() -> None:
    model = FunctionModel(by_message(go=task("look"), look=(call("nap", "n1"), call("nap", "n2"))))
    async with running(parent(model, worker(tools=[nap]), limits=Limits(turns=3))) as runtime:
        with pytest.raises(TurnLimitError):
            await runtime.ref("agent", "u1").prompt("go")
    assert len(model.requests) == 3  # two of them are the task's


@virtual_time
async def test_a_task_has_limits_of_its_own() -> None:
    model = FunctionModel(by_message(go=task("look"), look=call("nap", seconds=100)))
    async with running(parent(model, worker(tools=[nap], limits=Limits(seconds=10)))) as runtime:
        answer = await runtime.ref("agent", "u1").prompt("go")
        assert asyncio.get_running_loop().time() == pytest.approx(10, abs=0.5)
    assert answer.text == f"The task failed: {DeadlineExceededError().message}"


@virtual_time
async def test_deleting_a_conversation_removes_its_tasks_too() -> None:
    async with machine(parent(FunctionModel(by_message(go=task("look"))))) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.session("keep").prompt("go")
        await ref.prompt("go")
        assert len(await ref.sessions()) == 4
        await ref.delete()
        assert [each.name.split(":")[0:2] for each in await ref.sessions()] == [["keep"], ["task", "keep"]]


@virtual_time
async def test_a_detached_task_holds_nobody_up_and_reports_as_a_message_of_its_own() -> None:
    given = task("sleep", detached=True)
    model = FunctionModel(by_message(go=given, sleep=call("nap", seconds=100)))
    async with running(parent(model, worker(tools=[nap]))) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("go")
        assert (await ref.prompt("next")).text == "next"
        assert asyncio.get_running_loop().time() < 1
        await asyncio.sleep(101)
        (report,) = [each for each in await shown(ref) if isinstance(each, SignalMessage)]
        assert '"text": "rested 100"' in report.content
        assert (await ref.status()).state == "idle"


@virtual_time
async def test_a_detached_task_reports_however_full_the_queue_is() -> None:
    given = task("sleep", detached=True)
    model = FunctionModel(by_message(go=given, sleep=call("nap", seconds=10), long=call("nap", seconds=20)))
    profile = parent(model, worker(tools=[nap]), tools=[nap])
    async with running(profile, settings=Settings(max_queued=2)) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("go")
        await ref.submit("long")
        with pytest.raises(QueueFullError):
            await ref.submit("next")
        await asyncio.sleep(60)
        assert len([each for each in await shown(ref) if isinstance(each, SignalMessage)]) == 1
