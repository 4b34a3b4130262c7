"""The tools that read skills."""

import base64

import pytest

from flue_actors.definition.tools import Tool, ToolAnswer
from flue_actors.errors import SandboxFileError, ToolArgumentsError, ToolError
from flue_actors.skills.skill import Skill
from flue_actors.toolset.skill_reading import skill_tools
from tests.skills.workspaces import MemoryDesk, desk_with
from tests.skills.written import skill_md

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
BLOB = bytes(range(256)) * 300
REVIEW = Skill(
    name="review",
    description="Reviews.",
    instructions="Read it twice.",
    resources={"notes/a.md": b"one\ntwo\nthree\n", "logo.png": PNG, "data.bin": BLOB, "long.txt": b"line\n" * 5_000},
)
FOUND = Skill(name="write", description="Writes.", folder=".agents/skills/write")


def desk() -> MemoryDesk:
    made = desk_with(write=skill_md("write", body="Be brief."))
    made.files["/work/.agents/skills/write/a.md"] = b"here"
    made.files["/work/secret.md"] = b"s"
    return made


def named(name: str, *skills: Skill) -> Tool:
    (found,) = [tool for tool in skill_tools(skills) if tool.name == name]
    return found


async def activate(name: str, at: MemoryDesk | None = None) -> ToolAnswer:
    return await (at or desk()).call(named("activate_skill", FOUND, REVIEW), name=name)


async def read(skill: str, path: str, at: MemoryDesk | None = None, **how: int) -> ToolAnswer:
    tool = named("read_skill_resource", FOUND, REVIEW)
    return await (at or desk()).call(tool, skill=skill, path=path, **how)


def test_without_skills_there_are_no_tools() -> None:
    assert skill_tools(()) == ()


def test_without_files_there_is_nothing_to_read() -> None:
    assert [tool.name for tool in skill_tools((Skill(name="a", description="b"),))] == ["activate_skill"]


def test_the_schema_lists_the_names_in_order_whatever_order_they_came_in() -> None:
    one, other = skill_tools((FOUND, REVIEW)), skill_tools((REVIEW, FOUND))
    assert [tool.spec for tool in one] == [tool.spec for tool in other]
    assert one[0].spec.parameters["properties"]["name"]["enum"] == ["review", "write"]


async def test_activating_a_packaged_skill_needs_no_sandbox() -> None:
    at = desk()
    answer = await activate("review", at)
    assert "<skill_instructions>\nRead it twice.\n</skill_instructions>" in answer.text
    assert answer.details == {"skill": "review"}
    assert not at.workspace.is_open


async def test_activating_a_workspace_s_skill_reads_it_as_it_is_now() -> None:
    at = desk()
    at.files["/work/.agents/skills/write/SKILL.md"] = skill_md("write", body="Be long.").encode()
    answer = await activate("write", at)
    assert "Be long." in answer.text
    assert '"/work/.agents/skills/write"' in answer.text


async def test_one_that_broke_meanwhile_is_the_tool_s_error() -> None:
    at = desk()
    at.files["/work/.agents/skills/write/SKILL.md"] = b"rubbish"
    with pytest.raises(ToolError, match="does not begin with"):
        await activate("write", at)


async def test_one_that_is_gone_is_the_tool_s_error() -> None:
    at = desk()
    del at.files["/work/.agents/skills/write/SKILL.md"]
    with pytest.raises(SandboxFileError):
        await activate("write", at)


async def test_an_unknown_skill_is_a_wrong_argument() -> None:
    with pytest.raises(ToolArgumentsError):
        await activate("nothing")


async def test_a_packaged_file_is_read_from_memory() -> None:
    at = desk()
    assert (await read("review", "./notes//a.md", at)).text == "one\ntwo\nthree"
    assert not at.workspace.is_open


async def test_a_part_of_a_file() -> None:
    answer = await read("review", "notes/a.md", offset=2, limit=1)
    assert answer.text == "two\n[lines 2-2 of 3; go on with offset=3]"


async def test_a_long_file_is_cut_where_read_cuts() -> None:
    assert (await read("review", "long.txt")).text.endswith("[lines 1-2000 of 5000; go on with offset=2001]")


async def test_a_picture_is_shown() -> None:
    answer = await read("review", "logo.png")
    assert (answer.images[0].data, answer.images[0].mime_type) == (PNG, "image/png")


async def test_another_binary_file_is_base64_in_lines_of_76() -> None:
    text, offset = "", 1
    while True:
        shown, _, note = (await read("review", "data.bin", offset=offset)).text.partition("\n[")
        lines = shown.splitlines()
        assert all(len(line) <= 76 for line in lines)
        text, offset = text + "".join(lines), offset + len(lines)
        if not note:
            break
    assert base64.b64decode(text) == BLOB


async def test_a_workspace_s_file_is_read_through_the_sandbox() -> None:
    assert (await read("write", "a.md")).text == "here"


@pytest.mark.parametrize("skill", ["review", "write"])
@pytest.mark.parametrize("path", ["../../../secret.md", "/work/secret.md", "x/../../../../secret.md", "..", ".", ""])
async def test_nothing_outside_of_the_skill_is_read(skill: str, path: str) -> None:
    with pytest.raises(ToolError, match="no file in the skill's folder"):
        await read(skill, path)


async def test_a_file_that_is_not_there_is_the_tool_s_error() -> None:
    with pytest.raises(ToolError, match=r'has no file "x\.md"'):
        await read("review", "x.md")
    with pytest.raises(SandboxFileError):
        await read("write", "x.md")
