"""What a model is told of a skill that it is to follow. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from flue_actors.skills.skill import Skill

RESOURCES_SHOWN: Final = 200

# Possessive: a skill of 250 KB of spaces behind a "<" took minutes to look through, and nothing else ran meanwhile.
_TAG: Final = re.compile(r"<(?=\s*+(?:/\s*+)?(?:skill_instructions|skill_resources|skill_arguments)\b)", re.IGNORECASE)


def activation_text(skill: Skill) -> str:
    """The skill's instructions and what else it has.

    Args:
        skill: A workspace's skill with its ``instructions`` as they are now, and the whole path of its folder.
    """
    return (
        f'Run the skill "{skill.name}": follow the instructions below.\n\n'
        f"<skill_instructions>\n{_inside(skill.instructions)}\n</skill_instructions>\n\n"
        f"<skill_resources>\n{_inside(_resources(skill))}\n</skill_resources>"
    )


def skill_message(skill: Skill, args: Mapping[str, Any] | None) -> str:
    """What the model is sent when somebody wants this skill used.

    Args:
        args: What it is to work on: JSON.
    """
    if skill.folder is None:
        text = activation_text(skill)
    else:
        text = f'Run the skill "{skill.name}": call activate_skill for its instructions, and follow them.'
    if args is None:
        return text
    shown = json.dumps(args, indent=2, ensure_ascii=False)
    return f"{text}\n\n<skill_arguments>\n{_inside(shown)}\n</skill_arguments>"


def _resources(skill: Skill) -> str:
    if skill.folder is not None:
        return (
            f"The skill's folder is {json.dumps(skill.folder, ensure_ascii=False)}: paths in its instructions are meant "
            "from there. Read its files with read_skill_resource."
        )
    if not skill.resources:
        return "The skill has no other files."
    paths = sorted(skill.resources)
    lines = [f"- {path}" for path in paths[:RESOURCES_SHOWN]]
    if len(paths) > RESOURCES_SHOWN:
        lines.append(f"[{len(paths) - RESOURCES_SHOWN} more]")
    return "\n".join(["Read these with read_skill_resource:", *lines])


def _inside(text: str) -> str:
    """The text, which cannot close the element it stands in or begin another one."""
    return _TAG.sub("&lt;", text)
