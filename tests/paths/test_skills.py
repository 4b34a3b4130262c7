"""Skills: of the application and of the workspace, asked for by the model and by a program."""

from pathlib import Path

import pytest

from flue_actors import load_skill, local, tool
from flue_actors.skills.skill import Skill
from tests.paths.scripts import call, one_by_one
from tests.paths.shapes import CITY, NATIVE, TOOLS
from tests.paths.stage import staged
from tests.skills.written import write_skill


@tool
async def greet(name: str) -> str:
    """Greet somebody."""
    return f"Ahoy, {name}!"


def greeting(folder: Path) -> Skill:
    """A skill that makes a scripted model call a tool."""
    body = 'Greet as sailors do.\n\ncall greet {"name": "Ada"}'
    return load_skill(write_skill(folder, "greeting", {"words/list.txt": "ahoy\nmoin\n"}, body=body))


ACTIVATING = one_by_one(
    call("activate_skill", name="greeting"),
    call("read_skill_resource", skill="greeting", path="words/list.txt"),
)


async def test_a_skill_of_the_application_is_activated_and_its_file_read(
    model: str, transport: str, tmp_path: Path
) -> None:
    async with staged(model, tmp_path, skills=[greeting(tmp_path)], tools=[greet]) as stage:
        async with stage.open(transport) as person:
            outcome = await person.say(ACTIVATING)
            activated, shown = await stage.results()
    assert "Greet as sailors do." in activated
    assert "- words/list.txt" in activated
    assert shown.startswith("ahoy\nmoin")
    assert "moin" in outcome.text


async def test_a_skill_is_found_in_the_workspace_activated_and_its_file_read(
    model: str, transport: str, tmp_path: Path
) -> None:
    write_skill(
        tmp_path / "w/.agents/skills", "greeting", {"words/list.txt": "ahoy\nmoin\n"}, body="Greet as sailors do."
    )
    async with staged(model, tmp_path, sandbox=local(tmp_path / "w")) as stage, stage.open(transport) as person:
        outcome = await person.say(ACTIVATING)
        activated, shown = await stage.results()
    assert "Greet as sailors do." in activated
    assert shown.startswith("ahoy\nmoin")
    assert "moin" in outcome.text


async def test_a_file_that_is_none_of_the_skills_is_not_read(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, skills=[greeting(tmp_path)]) as stage, stage.open(transport) as person:
        outcome = await person.say(call("read_skill_resource", skill="greeting", path="../flue.db"))
    assert (outcome.error, "no file in the skill" in outcome.text) == (None, True)


async def test_a_program_runs_a_skill_of_the_application(model: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, skills=[greeting(tmp_path)], tools=[greet]) as stage:
        answer = await stage.ref.skill("greeting", args={"mood": "merry"})
        (message, *_) = await stage.messages()
    assert "Ahoy, Ada!" in answer.text
    assert '"mood": "merry"' in str(message)


async def test_a_program_runs_a_skill_of_the_workspace(model: str, tmp_path: Path) -> None:
    write_skill(tmp_path / "w/.agents/skills", "greeting")
    async with staged(model, tmp_path, sandbox=local(tmp_path / "w")) as stage:
        answer = await stage.ref.skill("greeting")
    assert "call activate_skill" in answer.text


@pytest.mark.parametrize("kind", ["tools", "native"])
async def test_a_skill_has_a_result(kind: str, model: str, tmp_path: Path) -> None:
    says = 'answer {"city": "Kiel"}' if kind == "native" else call("finish", city="Kiel")
    skill = load_skill(write_skill(tmp_path, "greeting", body=says))
    async with staged(model, tmp_path, name=(NATIVE if kind == "native" else TOOLS)[model], skills=[skill]) as stage:
        answer = await stage.ref.skill("greeting", result=CITY)
    assert answer.data == {"city": "Kiel"}
