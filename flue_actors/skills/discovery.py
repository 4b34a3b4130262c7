"""Finds the skills of a workspace: ``<cwd>/.agents/skills/<name>/SKILL.md``."""

import asyncio
import posixpath
from collections.abc import Sequence
from typing import Final

import msgspec

from flue_actors.errors import ConfigError
from flue_actors.sandboxes.protocol import DirEntry
from flue_actors.sandboxes.workspace import Workspace
from flue_actors.skills.frontmatter import LARGEST, parse_skill, shown
from flue_actors.skills.skill import Skill

FOLDER: Final = ".agents/skills"
SKILL_FILE: Final = "SKILL.md"
MOST: Final = 200
"""Skills of one workspace."""


async def discover(workspace: Workspace) -> tuple[Skill, ...]:
    """The skills of the workspace, sorted by name, each with its folder relative to ``cwd``, for that may move.

    A directory without ``SKILL.md`` is none.

    Raises:
        ConfigError: One is malformed, or there are too many.
        SandboxError: The workspace cannot be read.
    """
    if await workspace.stat(FOLDER) is None:
        return ()
    found = list[Skill]()
    for entry in await workspace.list(FOLDER):
        skill = await _skill(workspace, entry)
        if skill is not None:
            found.append(skill)
        if len(found) > MOST:
            raise ConfigError(f"There are more than {MOST} skills in {FOLDER}.")
    return tuple(sorted(found, key=lambda each: each.name))


async def read_skill(workspace: Workspace, folder: str) -> Skill:
    """The skill in this folder of the workspace, as it is now.

    Raises:
        ConfigError: It is malformed.
        SandboxError: It cannot be read.
    """
    data = await workspace.read(posixpath.join(folder, SKILL_FILE))
    # In a thread: 16 KiB of YAML take 60 to 170 ms, and there may be many such.
    skill = await asyncio.to_thread(parse_skill, data, posixpath.basename(folder))
    return msgspec.structs.replace(skill, folder=folder)


def merge(packaged: Sequence[Skill], found: Sequence[Skill]) -> tuple[Skill, ...]:
    """The skills that came with the definition and those of the workspace. Pure.

    Raises:
        ConfigError: Two of one name.
    """
    names = {each.name for each in packaged}
    for each in found:
        if each.name in names:
            raise ConfigError(f'The skill "{each.name}" is in the definition and in the workspace.')
    return (*packaged, *found)


async def _skill(workspace: Workspace, entry: DirEntry) -> Skill | None:
    """None: there is none in this directory, or it is no directory."""
    if entry.kind not in ("directory", "link"):
        return None
    folder = posixpath.join(FOLDER, entry.name)
    found = await workspace.stat(posixpath.join(folder, SKILL_FILE))
    if found is None or found.kind not in ("file", "link"):
        return None
    if found.size > LARGEST:
        raise ConfigError(
            f"The skill in {shown(entry.name)} is refused: SKILL.md is larger than {LARGEST // 1024} KiB."
        )
    return await read_skill(workspace, folder)
