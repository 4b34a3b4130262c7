"""Connecting: once, shared, in time, and again when the connection was lost."""

import asyncio
import importlib.util
import subprocess
import sys

import pytest

from flue_actors.errors import ConfigError, ToolError, UnavailableError
from flue_actors.mcp.server import connect_mcp_server
from tests.mcp.house import Program, acting, call, raw, until, written

TOOL = {"name": "t", "inputSchema": {"type": "object"}}


def test_defining_a_server_imports_nothing_of_mcp():
    code = (
        "import sys; from flue_actors.mcp.server import connect_mcp_server;"
        "connect_mcp_server('x', url='https://a.example'); print('mcp' in sys.modules, 'httpx2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        connect_mcp_server("x", command="y")
    assert "flue-actors[mcp]" in caught.value.details


async def test_the_tools_of_a_server_never_connected_are_not_known():
    with pytest.raises(ConfigError, match="not known before it is connected"):
        _ = raw().tools


async def test_all_who_wait_share_one_connection(tmp_path):
    server = raw(told={"tools": [TOOL]})
    found = await asyncio.gather(*[_tools(server) for _ in range(20)])
    assert all(each is found[0] for each in found)
    await server.close()


async def _tools(server):
    return (await server).tools


async def test_one_who_stops_waiting_does_not_stop_the_others():
    server = raw(told={"tools": [TOOL]})
    impatient, patient = asyncio.create_task(_tools(server)), asyncio.create_task(_tools(server))
    await asyncio.sleep(0)
    impatient.cancel()
    assert [tool.name for tool in await patient] == ["mcp__raw__t"]
    assert impatient.cancelled()
    await server.close()


async def test_closing_while_it_connects_gives_up():
    server = raw(told={"silent": True})
    waiting = asyncio.create_task(_tools(server))
    await asyncio.sleep(0)
    async with asyncio.timeout(8):
        await server.close()
    with pytest.raises(UnavailableError):
        await waiting


async def test_a_process_that_says_nothing_is_given_up():
    with pytest.raises(UnavailableError, match="cannot be reached") as caught:
        await raw(told={"silent": True}, timeout=0.3)
    assert "TimeoutError" in caught.value.dev


async def test_a_server_without_tools_has_none():
    async with raw() as server:
        assert server.tools == ()


async def test_pages_without_end_are_refused():
    with pytest.raises(UnavailableError, match="does not come to the end"):
        await raw(told={"tools": [], "endless": True})


async def test_tools_of_one_name_are_refused_and_the_connection_is_closed():
    twins = [{**TOOL, "name": "a.b"}, {**TOOL, "name": "a_b"}]
    server = raw(told={"tools": twins})
    with pytest.raises(ConfigError, match='would both be "mcp__raw__a_b"'):
        await server
    assert not server.connected


async def test_a_server_that_could_not_be_reached_is_not_asked_again_at_once():
    server = raw(told={"exits": True})
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await server
    with pytest.raises(UnavailableError, match="a moment ago") as caught:
        await server
    assert 0 < caught.value.retry_after <= 1


async def test_a_call_in_flight_when_the_server_dies_fails_and_is_not_sent_twice(tmp_path):
    async with acting() as server:
        with pytest.raises(ToolError, match="whether the call had an effect is not known"):
            await call(server, "die", path=str(tmp_path / "count"))
        assert (await call(server, "count", path=str(tmp_path / "count"))).text == "counted"
        assert written(tmp_path / "count") == "xx"


@pytest.mark.parametrize("kind", ["http", "legacy", "sse"])
async def test_the_next_call_after_a_restart_connects_again(kind, tmp_path):
    own = Program(kind).wait()
    try:
        async with own.connect() as server:
            own.kill()
            own.start()
            await asyncio.to_thread(own.wait)
            if kind == "sse":
                await until(lambda: not server.connected)
            assert (await call(server, "count", path=str(tmp_path / "count"))).text == "counted"
            assert written(tmp_path / "count") == "x"
    finally:
        own.kill()


@pytest.mark.parametrize("kind", ["legacy", "sse"])
async def test_a_server_that_is_gone_fails_its_calls_and_the_model_is_told(kind):
    own = Program(kind).wait()
    try:
        async with own.connect() as server:
            own.kill()
            if kind == "sse":
                await until(lambda: not server.connected)
            with pytest.raises(ToolError, match='The MCP server "t" cannot be reached'):
                await call(server, "echo", text="hi")
            with pytest.raises(ToolError, match="a moment ago"):
                await call(server, "echo", text="hi")
            assert (await server).tools  # they are still known: agents start without it
    finally:
        own.kill()


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_call_in_flight_when_an_http_server_dies_fails(kind, tmp_path):
    own = Program(kind).wait()
    try:
        async with own.connect() as server:
            hanging = asyncio.create_task(call(server, "hang", path=str(tmp_path / "hang")))
            await until(lambda: written(tmp_path / "hang") == "started")
            own.kill()
            with pytest.raises(ToolError, match="whether the call had an effect is not known"):
                await hanging
    finally:
        own.kill()


def test_a_connection_belongs_to_its_loop_and_a_later_loop_gets_its_own():
    server = raw(told={"tools": [TOOL]})

    async def use():
        await server
        return (await call(server, "t")).text

    assert asyncio.run(use()) == asyncio.run(use())


async def test_a_connection_is_not_used_from_another_loop():
    async with raw(told={"tools": [TOOL]}) as server:
        with pytest.raises(ToolError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, call(server, "t"))


def test_a_program_that_forgets_to_close_still_ends_its_servers(tmp_path):
    async def forget():
        await call(await acting(), "spawn", path=str(tmp_path / "pids"))

    asyncio.run(forget())
    for pid in map(int, written(tmp_path / "pids").split()):
        assert subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True).stdout[:1] in (b"", b"Z")
