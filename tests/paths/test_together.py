"""Everything at once: paths that cross each other in one message."""

import asyncio
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from flue_actors import ToolContext, define_agent_profile, load_skill, tool, virtual
from tests.paths.pictures import PICTURE
from tests.paths.scripts import call, one_by_one, script
from tests.paths.shapes import CITY, TOOLS
from tests.paths.stage import staged
from tests.skills.written import write_skill


@tool(approval=True)
async def publish(path: str, ctx: ToolContext) -> str:
    """Publish a file."""
    ctx.state["published"] = [*ctx.state.get("published", []), path]
    return f"published {(await ctx.sandbox.read(path)).decode()}, {len(ctx.state['published'])} in all"


@pytest.mark.skipif(find_spec("bashkit") is None, reason="bashkit is not installed")
async def test_a_skill_a_picture_tasks_files_state_approvals_and_a_result_over_a_restart(
    model: str, carrying: str, tmp_path: Path
) -> None:
    worker = define_agent_profile(name="worker", description="Works.", tools=[publish])
    skill = load_skill(write_skill(tmp_path, "review"))
    work = one_by_one(call("bash", command="echo -n page > page.txt"), call("publish", path="page.txt"))
    said = one_by_one(
        call("activate_skill", name="review"),
        call("write", path="own.txt", content="own"),
        script(call("task", agent="worker", prompt=work), call("publish", path="own.txt")),
        call("bash", command="cat own.txt page.txt"),
        call("finish", city="Kiel"),
    )
    config: dict[str, Any] = {"subagents": [worker], "skills": [skill], "tools": [publish]}
    async with staged(model, tmp_path, name=TOOLS[model], sandbox=virtual(), **config) as stage:
        async with stage.open(carrying) as person:
            saying = asyncio.create_task(person.say(said, images=[PICTURE], result=CITY))
            theirs, ours = sorted(await stage.asked(person, 2), key=lambda each: each["session"], reverse=True)
            assert theirs["session"].startswith("task:default:")
            await person.decide(ours["id"], "approve")
            await person.decide(theirs["id"], "approve")
            outcome = await saying
            results = await stage.results()
            await stage.evict()
        await stage.restart()
        async with stage.open(carrying) as person:
            after = asyncio.create_task(person.say(call("publish", path="page.txt")))
            (waiting,) = await stage.asked(person)
            await person.decide(waiting["id"], "approve")
            last = await after
    assert outcome.data == {"city": "Kiel"}
    assert "ownpage" in results[-2]
    assert "published page, 3 in all" in last.text
