"""Tools that an MCP server offers, as `Tool`s of an agent."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from flue_actors.definition.tools import Tool, ToolAnswer, define_tool
from flue_actors.errors import ConfigError, ToolError
from flue_actors.mcp.naming import tool_name
from flue_actors.mcp.target import Target

logger = logging.getLogger("flue_actors.mcp")

Call = Callable[[str, dict[str, Any]], Awaitable[ToolAnswer]]
"""Calls the server's tool of this name. Raises ToolError."""


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """One tool, as its server describes it.

    Attributes:
        needs_task: It runs as a task on the server only, which nobody here can follow.
    """

    name: str
    title: str | None
    description: str | None
    schema: dict[str, Any]
    needs_task: bool


def adapted(target: Target, offered: Sequence[Offered], call: Call) -> tuple[Tool, ...]:
    """The tools as agents take them. One with a schema that no model could be shown is left out, with a warning.

    Raises:
        ConfigError: Two of them would have the same name.
    """
    origins: dict[str, str] = {}
    tools: list[Tool] = []
    for each in offered:
        name = tool_name(target.name, each.name)
        if name in origins:
            raise ConfigError(
                f'MCP server "{target.name}": the tools "{origins[name]}" and "{each.name}" would both be "{name}".'
            )
        origins[name] = each.name
        try:
            tools.append(_tool(target, each, name, call))
        except ConfigError as error:
            logger.warning('MCP server "%s": the tool "%s" is left out: %s', target.name, each.name, error.message)
    return tuple(tools)


def _tool(target: Target, offered: Offered, name: str, call: Call) -> Tool:
    async def execute(arguments: dict[str, Any]) -> ToolAnswer:
        if offered.needs_task:
            raise ToolError(
                f'The tool "{offered.name}" runs as a task on its server only; it cannot be called from here.'
            )
        answer = await call(offered.name, arguments)
        origin = {"customTool": name, "mcpServer": target.name, "mcpTool": offered.name}
        return msgspec.structs.replace(answer, details=origin)

    return define_tool(
        name=name,
        description=_description(target, offered),
        parameters=_object(offered.schema),
        execute=execute,
        timeout=target.timeout + target.call_timeout,  # a call may have to connect first
    )


def _description(target: Target, offered: Offered) -> str:
    origin = f'Tool "{offered.name}" of the MCP server "{target.name}".'
    parts = (origin, offered.title, offered.description)
    return "\n".join([part.strip() for part in parts if part and part.strip()])


def _object(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties")
    return {**schema, "type": "object", "properties": properties if isinstance(properties, dict) else {}}
