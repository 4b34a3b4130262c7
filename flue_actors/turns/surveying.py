"""Reads a workspace once, for what a session's system prompt says of it."""

import logging
from collections.abc import Sequence
from typing import Final

from flue_actors.conversation.workspace_context import FoundSkill, WorkspaceFacts
from flue_actors.errors import ConfigError, SandboxError, SandboxFileError, WorkspaceError
from flue_actors.ids import AgentKey
from flue_actors.sandboxes.workspace import Workspace
from flue_actors.skills.discovery import discover, merge
from flue_actors.skills.skill import Skill

logger: Final = logging.getLogger("flue_actors.workspaces")


async def survey(key: AgentKey, workspace: Workspace, packaged: Sequence[Skill]) -> WorkspaceFacts:
    """What stands in the workspace of this instance; opens it.

    Args:
        packaged: The skills of the definition.

    Raises:
        WorkspaceError: It cannot be opened, or a skill in it is malformed or called as one of the definition is. Logged.
    """
    try:
        await workspace.opened()
        found = await discover(workspace)
        merge(packaged, found)
        return WorkspaceFacts(
            cwd=workspace.cwd,
            agents_md=await _text(workspace, "AGENTS.md"),
            claude_md=await _text(workspace, "CLAUDE.md"),
            listing=await _listing(workspace),
            skills=tuple([FoundSkill(each.name, each.description, each.folder or "") for each in found]),
        )
    except (SandboxError, ConfigError) as error:
        reason = f"{error.message} {error.dev}".strip()
        logger.exception("the workspace of %s cannot be used: %s", key, reason)
        raise WorkspaceError(dev=reason) from error


async def _text(workspace: Workspace, name: str) -> str:
    try:
        return (await workspace.read(name)).decode("utf-8-sig", errors="replace")
    except SandboxFileError:
        return ""  # there is none, or it is a directory


async def _listing(workspace: Workspace) -> tuple[str, ...]:
    try:
        names = await workspace.list(".")
    except SandboxFileError:
        return ()  # too many names to be listed: no reason to refuse every conversation from then on
    return tuple([each.name + ("/" if each.kind == "directory" else "") for each in names])
