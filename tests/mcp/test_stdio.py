"""Servers as child processes."""

import json
import logging
import os

import pytest

from flue_actors.errors import ConfigError, ToolError, UnavailableError
from flue_actors.mcp.server import connect_mcp_server
from flue_actors.mcp.stdio import LOGGED
from tests.mcp.house import acting, call, raw, until, written

TOOL = {"name": "t", "inputSchema": {"type": "object"}}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


async def test_the_process_gets_a_few_variables_and_what_it_is_given(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    async with acting(env={"TOKEN": "for the server"}) as server:
        environment = json.loads((await call(server, "environment")).text)
    assert environment["TOKEN"] == "for the server"
    assert environment["PATH"] == os.environ["PATH"]
    assert "ANTHROPIC_API_KEY" not in environment


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")
async def test_closing_ends_the_process_and_its_children(tmp_path):
    async with acting() as server:
        await call(server, "spawn", path=str(tmp_path / "pids"))
        leader, child = map(int, written(tmp_path / "pids").split())
        assert alive(leader)
        assert alive(child)
    await until(lambda: not alive(leader) and not alive(child))


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")
async def test_the_children_of_a_process_that_died_are_ended_too(tmp_path):
    async with acting() as server:
        await call(server, "spawn", path=str(tmp_path / "pids"))
        _, child = map(int, written(tmp_path / "pids").split())
        with pytest.raises(ToolError):
            await call(server, "die", path=str(tmp_path / "count"))
        await until(lambda: not alive(child))


async def test_a_process_that_does_not_end_by_itself_is_told_to_before_it_is_killed(tmp_path):
    async with raw(told={"stays": str(tmp_path / "end")}):
        pass
    assert written(tmp_path / "end") == "told to end"


async def test_stderr_goes_to_the_log_up_to_a_bound(caplog):
    with caplog.at_level(logging.INFO, "flue_actors.mcp"):
        async with acting() as server:
            assert (await call(server, "shout")).text == "quiet again"
            await until(lambda: "is dropped" in caplog.text)
    assert "t: noise" in caplog.text
    assert caplog.text.count("is dropped") == 1
    assert sum(len(record.getMessage()) for record in caplog.records) < LOGGED * 1.2


async def test_what_a_server_says_before_it_dies_is_told_to_the_developer_only(caplog):
    with pytest.raises(UnavailableError) as caught:
        await raw(told={"tools": [], "words": "no such table: users", "exits": True})
    assert "no such table" in caught.value.dev
    assert "no such table" not in caught.value.message + caught.value.details
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "no such table" in warning.getMessage()


async def test_a_command_that_does_not_exist_is_the_developers_mistake():
    with pytest.raises(ConfigError, match="cannot be started") as caught:
        await connect_mcp_server("x", command="/no/such/program")
    assert "/no/such" not in caught.value.message


async def test_lines_that_are_no_messages_are_passed_over():
    async with raw(told={"tools": [TOOL], "lines": ["Listening...", "", "{}"]}) as server:
        assert json.loads((await call(server, "t")).text)["name"] == "t"


async def test_a_line_without_end_ends_the_connection():
    with pytest.raises(UnavailableError):
        await raw(told={"tools": [], "huge": 40 * 1024 * 1024})
