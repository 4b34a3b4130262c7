"""Finding the skills of a workspace."""

import pytest

from flue_actors.errors import ConfigError, SandboxFileError
from flue_actors.skills.discovery import discover, merge, read_skill
from flue_actors.skills.frontmatter import LARGEST
from flue_actors.skills.skill import Skill
from tests.skills.workspaces import desk_with
from tests.skills.written import skill_md


async def test_a_workspace_without_skills_has_none() -> None:
    assert await discover(desk_with().workspace) == ()


async def test_skills_are_found_in_the_order_of_their_names() -> None:
    found = await discover(desk_with(write=skill_md("write"), code_review=skill_md("code-review")).workspace)
    assert [(each.name, each.folder) for each in found] == [
        ("code-review", ".agents/skills/code-review"),
        ("write", ".agents/skills/write"),
    ]


async def test_what_is_no_directory_or_has_no_skill_md_is_skipped() -> None:
    workspace = desk_with(review=skill_md())
    workspace.files["/work/.agents/skills/README.md"] = b"about"
    workspace.files["/work/.agents/skills/notes/x.md"] = b"x"
    workspace.files["/work/.agents/skills/odd/SKILL.md/x"] = b"x"
    assert [each.name for each in await discover(workspace.workspace)] == ["review"]


async def test_a_task_finds_those_below_its_own_folder() -> None:
    workspace = desk_with(review=skill_md())
    workspace.files["/work/sub/.agents/skills/write/SKILL.md"] = skill_md("write").encode()
    found = await discover(workspace.workspace.rooted("sub"))
    assert [each.name for each in found] == ["write"]


async def test_a_malformed_one_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"The skill in 'review' is refused: .*that of its directory is not"):
        await discover(desk_with(review=skill_md("other")).workspace)


async def test_one_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(ConfigError, match="larger than 256 KiB"):
        await discover(desk_with(review=skill_md(body="x" * LARGEST)).workspace)


async def test_more_than_200_are_refused() -> None:
    names = [f"s{number}" for number in range(201)]
    assert len(await discover(desk_with(**{name: skill_md(name) for name in names[:200]}).workspace)) == 200
    with pytest.raises(ConfigError, match="more than 200 skills"):
        await discover(desk_with(**{name: skill_md(name) for name in names}).workspace)


async def test_a_skill_is_read_as_it_is_now() -> None:
    workspace = desk_with(review=skill_md())
    (found,) = await discover(workspace.workspace)
    workspace.files["/work/.agents/skills/review/SKILL.md"] = skill_md(body="Thrice.").encode()
    assert (await read_skill(workspace.workspace, str(found.folder))).instructions == "Thrice."


async def test_one_that_is_gone_cannot_be_read() -> None:
    with pytest.raises(SandboxFileError):
        await read_skill(desk_with().workspace, ".agents/skills/review")


def test_a_name_in_definition_and_workspace_is_refused() -> None:
    packaged, found = Skill(name="a", description="d"), Skill(name="b", description="d", folder="f")
    assert merge([packaged], [found]) == (packaged, found)
    with pytest.raises(ConfigError, match='The skill "a" is in the definition and in the workspace'):
        merge([packaged], [found, Skill(name="a", description="d", folder="f")])
