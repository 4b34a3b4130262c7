"""A skill as the runtime holds it."""

from collections.abc import Mapping

import msgspec


class Skill(msgspec.Struct, frozen=True, kw_only=True):
    """One skill. Made by `load_skill` (packaged: it travels with the application), or found in a workspace.

    Attributes:
        name: Lower-case letters, digits and single hyphens, at most 64.
        description: When to use it; at most 1,024 characters. The model always sees this.
        instructions: The body of its ``SKILL.md``. The model sees it once it activates the skill. Of a workspace's skill
            it is read anew then.
        folder: Where it lives in the workspace, relative to its ``cwd``; None for a packaged one.
        resources: Of a packaged one: its other files, POSIX path below its folder to bytes.
        license, compatibility, metadata, allowed_tools: As its frontmatter says; informative.
    """

    name: str
    description: str
    instructions: str = ""
    folder: str | None = None
    resources: Mapping[str, bytes] = {}
    license: str | None = None
    compatibility: str | None = None
    metadata: Mapping[str, str] = {}
    allowed_tools: tuple[str, ...] = ()
