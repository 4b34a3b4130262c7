"""The tools ``activate_skill`` and ``read_skill_resource``: a skill's instructions and files, when they are needed."""

import asyncio
import base64
import functools
import posixpath
from typing import Any

import msgspec

from flue_actors.definition.tools import Tool, ToolAnswer, ToolContext, define_tool
from flue_actors.errors import ConfigError, ToolError
from flue_actors.skills.activation import activation_text
from flue_actors.skills.discovery import read_skill
from flue_actors.skills.skill import Skill
from flue_actors.toolset.reading import LARGE, image_type, is_binary, shown_file


def skill_tools(skills: tuple[Skill, ...]) -> tuple[Tool, ...]:
    """The tools for these skills, whose names differ; none for none. Files can be read where a skill may have some."""
    if not skills:
        return ()
    known = {skill.name: skill for skill in sorted(skills, key=lambda each: each.name)}

    async def activate(arguments: dict[str, Any], context: ToolContext) -> ToolAnswer:
        return await _activate(known[arguments["name"]], context)

    async def read(arguments: dict[str, Any], context: ToolContext) -> ToolAnswer:
        return await _read(known[arguments["skill"]], arguments, context)

    named = {"type": "string", "enum": list(known), "description": "The skill's name."}
    activating = define_tool(
        name="activate_skill",
        description="Get the instructions of a skill. Call it before a task that one of the available skills is for.",
        parameters={"type": "object", "properties": {"name": named}, "required": ["name"]},
        execute=activate,
        idempotent=True,
    )
    if all(skill.folder is None and not skill.resources for skill in skills):
        return (activating,)
    reading = define_tool(
        name="read_skill_resource",
        description=(
            "Show a file of a skill: text, or an image; other files as base64. At most 2000 lines or 50 KB at once; if there "
            "is more, the last line says with which offset to go on."
        ),
        parameters={
            "type": "object",
            "properties": {
                "skill": named,
                "path": {"type": "string", "description": "The file, as seen from the skill's folder."},
                "offset": {"type": "integer", "minimum": 1, "description": "Number of the first line, from 1."},
                "limit": {"type": "integer", "minimum": 1, "description": "How many lines to show."},
            },
            "required": ["skill", "path"],
        },
        execute=read,
        idempotent=True,
    )
    return activating, reading


async def _activate(skill: Skill, context: ToolContext) -> ToolAnswer:
    if skill.folder is not None:
        try:
            found = await read_skill(context.sandbox, skill.folder)
        except ConfigError as error:
            raise ToolError(error.message) from error
        skill = msgspec.structs.replace(found, folder=posixpath.join(context.sandbox.cwd, skill.folder))
    return ToolAnswer(text=activation_text(skill), details={"skill": skill.name})


async def _read(skill: Skill, arguments: dict[str, Any], context: ToolContext) -> ToolAnswer:
    path = posixpath.normpath(arguments["path"])
    if posixpath.isabs(path) or path.split("/")[0] in (".", ".."):
        raise ToolError("The path is no file in the skill's folder.")
    if skill.folder is not None:
        data = await context.sandbox.read(posixpath.join(skill.folder, path))
    elif (found := skill.resources.get(path)) is not None:
        data = found
    else:
        raise ToolError(f'The skill "{skill.name}" has no file "{path}".')
    show = functools.partial(_shown, path, data, arguments.get("offset"), arguments.get("limit"))
    return await asyncio.to_thread(show) if len(data) > LARGE else show()


def _shown(path: str, data: bytes, offset: int | None, limit: int | None) -> ToolAnswer:
    if image_type(data) is None and is_binary(data):
        data = base64.encodebytes(data)
    return shown_file(path, data, offset, limit)
