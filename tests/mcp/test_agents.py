"""An agent with the tools of a server, as projects define one."""

import asyncio

import msgspec

from flue_actors import AgentConfig, create_agent
from flue_actors.events import ToolCallEnd
from flue_actors.messages import ToolResultMessage
from tests.mcp.house import raw, until, written
from tests.runtime.support import running, watch

ECHO = {
    "name": "say",
    "description": "Says it.",
    "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}},
}


def agent_of(server):
    async def initialize(_):
        return AgentConfig(model="scripted/echo", instructions="", tools=(await server).tools)

    return create_agent(initialize)


async def test_a_server_of_a_modules_level_is_connected_once_for_all_instances():
    server = raw("srv", told={"tools": [ECHO]})
    async with running(agent_of(server)) as runtime, server:
        before = server.tools
        refs = [runtime.ref("agent", f"u{n}") for n in range(5)]
        answers = await asyncio.gather(*[ref.prompt('call mcp__srv__say {"n": 1}') for ref in refs])
        assert all('"arguments": {"n": 1}' in answer.text for answer in answers)
        assert server.tools is before


async def test_an_aborted_turn_cancels_the_call_on_the_server_and_the_next_turn_goes_on(http, tmp_path):
    server = http.connect()
    async with running(agent_of(server)) as runtime, server:
        ref = runtime.ref("agent", "u1")
        turn = asyncio.create_task(ref.prompt(_call("hang", path=str(tmp_path / "hang"))))
        await until(lambda: written(tmp_path / "hang") == "started")
        await ref.abort()
        await asyncio.wait([turn])
        await until(lambda: written(tmp_path / "hang") == "cancelled")
        assert "hello" in (await ref.prompt(_call("echo", text="hello"))).text


async def test_a_picture_of_a_server_reaches_the_history(http):
    server = http.connect()
    async with running(agent_of(server)) as runtime, server:
        ref = runtime.ref("agent", "u1")
        await ref.prompt(_call("picture"))
        (result,) = [each.message for each in await ref.history() if isinstance(each.message, ToolResultMessage)]
        assert "image/png" in str(result.content)


async def test_a_server_that_fails_a_tool_is_an_error_result_and_no_failed_turn(http):
    server = http.connect()
    async with running(agent_of(server)) as runtime, server:
        seen = await watch(runtime.ref("agent", "u1"), _call("fail"))
        (ended,) = [event for event in seen if isinstance(event, ToolCallEnd)]
        assert ended.is_error
        assert "the disk is on fire" in str(ended.result)


def _call(tool, **arguments):
    return f"call mcp__t__{tool} {msgspec.json.encode(arguments).decode()}"
