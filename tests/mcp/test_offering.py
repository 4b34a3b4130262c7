"""From what a server lists to tools of an agent."""

import logging

import pytest

from flue_actors.definition.tools import ToolAnswer
from flue_actors.errors import ConfigError, ToolArgumentsError, ToolError
from flue_actors.mcp.offering import Offered, adapted
from flue_actors.mcp.target import Target

TARGET = Target(name="s", command="x", timeout=5, call_timeout=7)


def offered(name="t", **fields):
    return Offered(**{"name": name, "title": None, "description": None, "schema": {}, "needs_task": False, **fields})


async def answer(tool, arguments):
    return ToolAnswer(text=f"{tool} {arguments}")


def only(each):
    (tool,) = adapted(TARGET, [each], answer)
    return tool


def test_two_tools_of_one_name_are_refused():
    with pytest.raises(ConfigError, match=r'the tools "a\.b" and "a/b" would both be "mcp__s__a_b"'):
        adapted(TARGET, [offered("a.b"), offered("a/b")], answer)


@pytest.mark.parametrize("schema", [{}, {"type": "string"}, {"properties": None}, {"$schema": "x", "type": ["object"]}])
def test_every_schema_becomes_an_objects(schema):
    assert only(offered(schema=schema)).spec.parameters == {**schema, "type": "object", "properties": {}}


def test_a_tool_with_an_impossible_schema_is_left_out_and_the_log_says_why(caplog):
    bad = offered("bad", schema={"properties": {"a": {"type": "nonsense"}}})
    with caplog.at_level(logging.WARNING, "flue_actors.mcp"):
        tools = adapted(TARGET, [bad, offered("good")], answer)
    assert [tool.name for tool in tools] == ["mcp__s__good"]
    assert '"bad" is left out' in caplog.text


def test_the_description_is_origin_title_and_description():
    tool = only(offered(title=" Nice title ", description="What it does.\n"))
    assert tool.spec.description == 'Tool "t" of the MCP server "s".\nNice title\nWhat it does.'


def test_a_call_has_time_to_connect_first():
    assert only(offered()).timeout == 12


async def test_a_tool_that_runs_as_a_task_only_says_so_when_it_is_called():
    tool = only(offered(needs_task=True))
    with pytest.raises(ToolError, match="runs as a task"):
        await tool.execute(tool.bind({}), None, None)


def test_arguments_are_checked_before_anything_is_sent():
    tool = only(offered(schema={"properties": {"n": {"type": "integer"}}, "required": ["n"]}))
    with pytest.raises(ToolArgumentsError):
        tool.bind({"n": "many"})
