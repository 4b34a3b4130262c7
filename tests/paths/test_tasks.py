"""Tasks of subagents: one, side by side, in one another, detached, failing."""

import asyncio
from pathlib import Path

from flue_actors import ToolContext, define_agent_profile, local, tool
from flue_actors.messages import ToolResultMessage, text_of
from tests.paths.scripts import call, one_by_one, script
from tests.paths.stage import Stage, staged


@tool
async def look(ctx: ToolContext) -> str:
    """Look."""
    return f"looked in {ctx.session}"


@tool
async def count(ctx: ToolContext) -> str:
    """Count on."""
    ctx.state["count"] = ctx.state.get("count", 0) + 1
    return f"count is {ctx.state['count']}"


HELPER = define_agent_profile(name="helper", description="Helps.", instructions="Help.", tools=[look])
WORKER = define_agent_profile(
    name="worker", description="Works.", instructions="Work.", tools=[look], subagents=[HELPER]
)


def task(prompt: str, agent: str = "worker", **more: bool | str) -> str:
    return call("task", agent=agent, prompt=prompt, **more)


async def tasks(stage: Stage) -> list[str]:
    """The sessions of its tasks."""
    return [each.name for each in await stage.ref.sessions() if each.parent is not None]


async def test_a_subagent_does_it_and_its_answer_comes_back(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, subagents=[WORKER]) as stage, stage.open(transport) as person:
        outcome = await person.say(task(call("look")))
        (session,) = await tasks(stage)
    assert session.startswith("task:default:")
    assert f"looked in {session}" in outcome.text


async def test_two_work_side_by_side_and_a_third_one_after_them(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, subagents=[WORKER]) as stage, stage.open(transport) as person:
        outcome = await person.say(one_by_one(script(task("answer one"), task("answer two")), task("answer three")))
        results = await stage.results()
        sessions = await tasks(stage)
    assert "echo: three" in outcome.text
    assert (set(results[:2]), results[2]) == ({"one", "two"}, "three")
    assert len(set(sessions)) == 3


async def test_a_task_gives_tasks_in_turn(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, subagents=[WORKER]) as stage, stage.open(transport) as person:
        outcome = await person.say(task(task(call("look"), agent="helper")))
        outer, inner = sorted(await tasks(stage), key=len)
    assert inner.startswith(f"task:{outer}:")
    assert f"looked in {inner}" in outcome.text


async def test_a_detached_task_reports_later(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, subagents=[WORKER]) as stage, stage.open(transport) as person:
        outcome = await person.say(task("answer found it", detached=True))
        told = await stage.report()
        last = (await stage.messages())[-1]
    assert "The task was begun." in outcome.text
    assert (told["type"], told["agent"], told["isError"], told["text"]) == ("task_result", "worker", False, "found it")
    assert "found it" in text_of(last)


async def test_a_detached_task_that_fails_reports_that(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, subagents=[WORKER]) as stage, stage.open(transport) as person:
        await person.say(task("fail 400", detached=True))
        told = await stage.report()
        after = await person.say("answer later")
    assert told["isError"]
    assert after.text == "later"


async def test_a_task_that_fails_is_told_to_its_parent(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, subagents=[WORKER]) as stage, stage.open(transport) as person:
        outcome = await person.say(script(task("fail 400"), task("answer fine")))
        results = [each for each in await stage.messages() if isinstance(each, ToolResultMessage)]
    assert outcome.error is None
    told = {each.is_error: text_of(each) for each in results}
    assert told[True].startswith("The task failed: ")
    assert told[False] == "fine"
    assert "fine" in outcome.text


async def test_nobody_to_delegate_to_is_told_to_the_model(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, subagents=[WORKER]) as stage, stage.open(transport) as person:
        outcome = await person.say(task("answer x", agent="nobody"))
    assert outcome.error is None
    assert "nobody" in outcome.text


async def test_a_program_gives_a_task_itself(model: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, subagents=[WORKER]) as stage:
        answer = await stage.ref.task(call("look"), agent="worker")
        (session,) = await tasks(stage)
        conversation = await stage.ref.history()
    assert f"looked in {session}" in answer.text
    assert [text_of(each.message) for each in conversation if isinstance(each.message, ToolResultMessage)] == [
        answer.text
    ]


async def test_a_task_ends_with_its_parent(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, subagents=[WORKER]) as stage, stage.open(transport) as person:
        saying = asyncio.create_task(person.say(task("hang")))
        async with asyncio.timeout(10):
            while not await tasks(stage):
                await asyncio.sleep(0.005)
        await stage.ref.abort()
        outcome = await saying
        after = await person.say("answer later")
    assert (outcome.error, after.text) == ("aborted", "later")


async def test_tasks_share_the_state_of_their_instance(model: str, transport: str, tmp_path: Path) -> None:
    worker = define_agent_profile(name="worker", description="Works.", tools=[count])
    async with staged(model, tmp_path, subagents=[worker], tools=[count]) as stage, stage.open(transport) as person:
        outcome = await person.say(one_by_one(call("count"), task(call("count")), task(call("count")), call("count")))
    assert "count is 4" in outcome.text


async def test_conversations_side_by_side_and_their_tasks_share_the_files(
    model: str, transport: str, tmp_path: Path
) -> None:
    sandbox, worker = local(tmp_path), define_agent_profile(name="worker", description="Works.")
    async with staged(model, tmp_path, subagents=[worker], sandbox=sandbox, concurrency="session") as stage:
        said = [
            one_by_one(call("write", path=f"{n}.txt", content=n), task(call("bash", command=f"cat {n}.txt >> all.txt")))
            for n in "abcd"
        ]
        await asyncio.gather(*[stage.ref.session(str(n)).prompt(each) for n, each in enumerate(said)])
        async with stage.open(transport) as person:
            outcome = await person.say(call("bash", command="cat all.txt | fold -w1 | sort | tr -d '\\n'"))
    assert "abcd" in outcome.text
