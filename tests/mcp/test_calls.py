"""Tools of a server, over every transport where the transport can matter."""

import asyncio
import json

import pytest

from flue_actors.definition.attaching import Image
from flue_actors.errors import ToolError
from tests.mcp.house import call, until, written
from tests.mcp.program import TOOLS


async def test_the_tools_of_all_pages_are_there(connect):
    async with connect() as server:
        assert [tool.name for tool in server.tools] == [f"mcp__t__{name}" for name in sorted(TOOLS)]


async def test_a_tool_says_where_it_comes_from_and_what_it_does(http):
    async with http.connect() as server:
        spec = server.tools[0].spec
        assert spec.description == 'Tool "add" of the MCP server "t".\nThe add\nDoes add.'
        assert spec.parameters["required"] == ["a", "b"]


async def test_a_call_answers_text(connect):
    async with connect() as server:
        answer = await call(server, "echo", text="grüezi")
        assert answer.text == "grüezi"
        assert answer.details == {"customTool": "mcp__t__echo", "mcpServer": "t", "mcpTool": "echo"}


@pytest.mark.parametrize("kind", ["http", "legacy"])
async def test_an_answer_may_be_large_as_a_body_or_as_an_event(programs, kind):
    async with programs[kind].connect() as server:
        assert len((await call(server, "echo", text="x" * 3_000_000)).text) == 3_000_000


async def test_structured_content_is_shown_once_as_json(http):
    async with http.connect() as server:
        assert (await call(server, "add", a=1, b="2")).text == '{\n  "sum": 3\n}'


async def test_an_answer_that_breaks_the_output_schema_is_an_error(http):
    async with http.connect() as server:
        with pytest.raises(ToolError, match='does not fit what "lie" declares'):
            await call(server, "lie")


async def test_a_tool_that_fails_raises_with_its_words(http):
    async with http.connect() as server:
        with pytest.raises(ToolError, match=r"^the disk is on fire$"):
            await call(server, "fail")


async def test_pictures_come_as_pictures_where_models_read_them(http):
    async with http.connect() as server:
        answer = await call(server, "picture")
        assert [type(image) for image in answer.images] == [Image]
        assert answer.images[0].mime_type == "image/png"
        assert answer.text == "look:\n\n[Image: image/x-strange, 4 base64 chars]"


async def test_an_empty_answer_says_so(http):
    async with http.connect() as server:
        assert (await call(server, "nothing")).text == "(The tool answered nothing.)"


async def test_a_call_that_hangs_ends_after_its_time_and_is_cancelled_on_the_server(connect, tmp_path):
    async with connect(call_timeout=3) as server:
        with pytest.raises(ToolError, match=r"did not answer within 3 s; whether the call had an effect is not known"):
            await call(server, "hang", path=str(tmp_path / "hang"))
        await until(lambda: written(tmp_path / "hang") == "cancelled")
        assert (await call(server, "echo", text="still here")).text == "still here"


async def test_cancelling_a_call_cancels_it_on_the_server_and_nothing_else(connect, tmp_path):
    async with connect() as server:
        hanging = asyncio.create_task(call(server, "hang", path=str(tmp_path / "one")))
        other = asyncio.create_task(call(server, "hang", path=str(tmp_path / "two")))
        await until(lambda: written(tmp_path / "one") == written(tmp_path / "two") == "started")
        hanging.cancel()
        await asyncio.wait([hanging])
        await until(lambda: written(tmp_path / "one") == "cancelled")
        assert hanging.cancelled()
        assert not other.done()
        assert written(tmp_path / "two") == "started"
        other.cancel()


async def test_many_calls_run_side_by_side(connect):
    async with connect() as server:
        answers = await asyncio.gather(*[call(server, "add", a=n, b=n) for n in range(50)])
        assert [json.loads(answer.text)["sum"] for answer in answers] == [2 * n for n in range(50)]


async def test_closing_fails_the_calls_under_way_and_the_later_ones(connect, tmp_path):
    server = await connect()
    hanging = asyncio.create_task(call(server, "hang", path=str(tmp_path / "hang")))
    await until(lambda: written(tmp_path / "hang") == "started")
    await server.close()
    with pytest.raises(ToolError, match="was lost"):
        await hanging
    with pytest.raises(ToolError, match="has been closed"):
        await call(server, "echo", text="hi")
    assert not server.connected


async def test_a_closed_server_is_connected_again_by_awaiting_it(connect):
    server = await connect()
    await server.close()
    await server.close()
    async with server:
        assert (await call(server, "echo", text="back")).text == "back"


async def test_tools_outlive_the_task_that_connected(connect):
    async def first_turn():
        return await server

    server = connect()
    await asyncio.create_task(first_turn())
    assert (await asyncio.create_task(call(server, "echo", text="second turn"))).text == "second turn"
    await server.close()
