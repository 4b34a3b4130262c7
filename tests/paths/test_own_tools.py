"""The user's own tools: with state, with pictures, with what a model gets wrong."""

from pathlib import Path

from flue_actors import ToolContext, tool
from flue_actors.definition.attaching import Image, content_id
from flue_actors.definition.tools import ToolAnswer
from flue_actors.errors import ToolError
from flue_actors.messages import ImageContent, ToolResultMessage
from tests.paths.pictures import GIF, blocks, text64
from tests.paths.scripts import call, one_by_one, script
from tests.paths.stage import staged


@tool
async def count(ctx: ToolContext, by: int = 1) -> str:
    """Count on."""
    ctx.state["count"] = ctx.state.get("count", 0) + by
    return f"count is {ctx.state['count']}"


@tool
def draw() -> ToolAnswer:
    """Draw a picture."""
    return ToolAnswer(text="drawn", images=(Image(GIF, "image/gif"),))


@tool
async def refuse() -> str:
    """Never works."""
    raise ToolError("not today")


async def test_state_lasts_over_messages_idle_times_and_a_restart(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, tools=[count]) as stage:
        async with stage.open(transport) as person:
            await person.say(one_by_one(call("count"), call("count", by=4)))
            await stage.evict()
            after = await person.say(call("count", by=10))
        await stage.restart()
        async with stage.open(transport) as person:
            at_last = await person.say(call("count", by=100))
    assert "count is 15" in after.text
    assert "count is 115" in at_last.text


async def test_calls_side_by_side_are_all_answered(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, tools=[count, refuse]) as stage, stage.open(transport) as person:
        outcome = await person.say(script(call("count"), call("refuse"), call("nobody"), call("count", by="x")))
        results = [each for each in await stage.messages() if isinstance(each, ToolResultMessage)]
    assert "count is 1" in outcome.text
    assert "not today" in outcome.text
    assert sorted(each.is_error for each in results) == [False, True, True, True]


async def test_the_model_sees_the_picture_a_tool_made(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, tools=[draw]) as stage, stage.open(transport) as person:
        outcome = await person.say(call("draw"))
        (result,) = [each for each in await stage.messages() if isinstance(each, ToolResultMessage)]
        stored = await stage.ref.attachment(content_id(GIF))
        if stage.api is not None:
            (image,) = blocks(stage.api.requests[-1].body, "image")
            assert image["source"] == {"type": "base64", "media_type": "image/gif", "data": text64(GIF)}
    assert "drawn" in outcome.text
    assert next(part for part in result.content if isinstance(part, ImageContent)).attachment == stored.id
    assert stored.body == GIF
