"""Skills and workspaces of whole agents: what the model is told of them, and when that changes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from flue_actors import AgentConfig, Compaction, create_agent, define_agent_profile, load_skill, local, virtual
from flue_actors.conversation import prompts
from flue_actors.definition.agent import CreatedAgent
from flue_actors.errors import SandboxError, SkillNotFoundError, WorkspaceError
from flue_actors.messages import text_of
from flue_actors.models.protocol import ModelRequest
from flue_actors.sandboxes.protocol import Sandbox, SandboxContext, SandboxFactory
from flue_actors.skills.skill import Skill
from flue_actors.testing import FunctionModel
from flue_actors.testing.replies import Written, calls
from tests.runtime.machine import U1, machine, results_in, shown
from tests.runtime.models import results
from tests.skills.written import skill_md, write_skill

SKILLS = ".agents/skills"


class Counted(msgspec.Struct, frozen=True):
    """Sandboxes that are counted when they are opened."""

    factory: SandboxFactory
    opened: list[Sandbox] = []

    async def open(self, context: SandboxContext) -> Sandbox:
        self.opened.append(await self.factory.open(context))
        return self.opened[-1]


class Apart(msgspec.Struct, frozen=True):
    """A folder of its own for each instance."""

    folder: Path

    async def open(self, context: SandboxContext) -> Sandbox:
        return await local(self.folder / context.key.id).open(context)


class Broken(msgspec.Struct, frozen=True):
    """Sandboxes that cannot be opened."""

    async def open(self, context: SandboxContext) -> Sandbox:
        raise SandboxError("No room.", dev="/secret/place is full")


def playing(*replies: Written) -> FunctionModel:
    """A model that gives these replies one after another for each message, and "Done." behind them."""

    def answer(request: ModelRequest) -> Written:
        given = len(results(request.messages))
        return replies[given] if given < len(replies) else "Done."

    return FunctionModel(answer)


def working(
    model: FunctionModel, sandbox: SandboxFactory, *skills: Skill, compaction: Compaction | None = None
) -> CreatedAgent:
    return create_agent(model=model, instructions="Help.", sandbox=sandbox, skills=skills, compaction=compaction)


def told(model: FunctionModel) -> list[str]:
    """Everything that stands before the messages, of each request."""
    return [f"{each.instructions}|{each.instance_text}|{each.tools}" for each in model.requests]


def names(request: ModelRequest) -> Sequence[str]:
    """The skills that it can activate."""
    (tool,) = [tool for tool in request.tools if tool.name == "activate_skill"]
    return tool.parameters["properties"]["name"]["enum"]


def workspace(kind: str, folder: Path, files: dict[str, str]) -> SandboxFactory:
    """A sandbox with these files."""
    if kind == "virtual":
        pytest.importorskip("bashkit")
        return virtual(dict(files))
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return local(folder)


@pytest.mark.parametrize("kind", ["local", "virtual"])
async def test_a_workspace_is_told_and_its_skill_activated_and_read(kind: str, tmp_path: Path) -> None:
    files = {
        "AGENTS.md": "Be kind.",
        "CLAUDE.md": "Be brief.",
        f"{SKILLS}/review/SKILL.md": skill_md(),
        f"{SKILLS}/review/notes.md": "Mind the tests.",
    }
    model = playing(
        calls("activate_skill", name="review"), calls("read_skill_resource", skill="review", path="notes.md")
    )
    async with machine(working(model, workspace(kind, tmp_path, files))) as process:
        ref = (await process.start()).ref("agent", "u1")
        assert (await ref.prompt("Look at it.")).text == "Done."
        activated, read = results_in(await shown(ref))
    text = model.requests[0].instance_text
    assert text.startswith("Be kind.\n\nBe brief.\n\nAvailable skills.")
    assert "\n- review — Reviews code.\n" in text
    assert text.endswith("\nIn it are:\n.agents/\nAGENTS.md\nCLAUDE.md")
    assert "<skill_instructions>\nRead it twice.\n</skill_instructions>" in activated
    assert read == "Mind the tests."


async def test_what_is_told_stays_the_same_bytes_over_turns_passivation_and_restarts(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("Be kind.")
    write_skill(tmp_path / SKILLS)
    model, sandbox = playing(), Counted(local(tmp_path), [])
    async with machine(working(model, sandbox)) as process:
        ref = (await process.start()).ref("agent", "u1")
        await ref.prompt("one")
        (tmp_path / "AGENTS.md").write_text("Be rude.")
        (tmp_path / "new.txt").touch()
        write_skill(tmp_path / SKILLS, "write")
        await ref.prompt("two")
        await process.evict(ref)
        await ref.prompt("three")
        ref = (await process.restart()).ref("agent", "u1")
        await ref.prompt("four")
    assert len(model.requests) == 4
    assert len(set(told(model))) == 1
    assert names(model.requests[-1]) == ["review"]
    assert len(sandbox.opened) == 1


async def test_another_session_reads_the_workspace_for_itself(tmp_path: Path) -> None:
    model = playing()
    async with machine(working(model, local(tmp_path))) as process:
        ref = (await process.start()).ref("agent", "u1")
        await ref.prompt("one")
        (tmp_path / "AGENTS.md").write_text("Be kind.")
        await ref.session("other").prompt("two")
    assert ["Be kind." in each.instance_text for each in model.requests] == [False, True]


async def test_a_summary_is_when_the_workspace_is_read_anew(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("Be kind.")
    model = playing()
    agent = working(model, local(tmp_path), compaction=Compaction(keep_recent_tokens=1))
    async with machine(agent) as process:
        ref = (await process.start()).ref("agent", "u1")
        for each in range(4):
            await ref.prompt(f"Message {each}: " + "long " * 200)
        (tmp_path / "AGENTS.md").write_text("Be rude.")
        write_skill(tmp_path / SKILLS)
        assert await ref.compact()
        await ref.prompt("now")
        await process.evict(ref)
        await ref.prompt("and later")
    asked = [each for each in model.requests if each.instance_text]
    assert ["Be rude." in each.instance_text for each in asked] == [False] * 4 + [True, True]
    assert names(asked[-2]) == names(asked[-1]) == ["review"]


async def test_a_workspace_that_broke_meanwhile_is_no_reason_not_to_summarise(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("Be kind.")
    model = playing()
    agent = working(model, local(tmp_path), compaction=Compaction(keep_recent_tokens=1))
    async with machine(agent) as process:
        ref = (await process.start()).ref("agent", "u1")
        for each in range(4):
            await ref.prompt(f"Message {each}: " + "long " * 200)
        write_skill(tmp_path / SKILLS).rename(tmp_path / SKILLS / "other")
        assert await ref.compact()
        await ref.prompt("now")
    assert len(set(told(model)) - {f"{each.instructions}||()" for each in model.requests}) == 1


async def test_a_malformed_skill_fails_the_turn_with_the_reason_for_the_developer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = write_skill(tmp_path / SKILLS).rename(tmp_path / SKILLS / "other")
    model = playing()
    async with machine(working(model, local(tmp_path))) as process:
        ref = (await process.start()).ref("agent", "u1")
        with pytest.raises(WorkspaceError) as caught:
            await ref.prompt("one")
        assert "that of its directory is not" in caught.value.dev
        assert "other" not in caught.value.message
        made.rename(tmp_path / SKILLS / "review")
        assert (await ref.prompt("two")).text == "Done."
        assert (await ref.status()).state == "idle"
    assert "the workspace of agent/u1 cannot be used" in caplog.text
    assert names(model.requests[0]) == ["review"]


async def test_two_skills_of_one_name_fail_the_turn(tmp_path: Path) -> None:
    write_skill(tmp_path / SKILLS)
    packaged = load_skill(write_skill(tmp_path / "packaged"))
    async with machine(working(playing(), local(tmp_path), packaged)) as process:
        with pytest.raises(WorkspaceError) as caught:
            await (await process.start()).ref("agent", "u1").prompt("one")
    assert caught.value.dev == 'The skill "review" is in the definition and in the workspace.'


async def test_a_sandbox_that_cannot_be_opened_fails_the_turn() -> None:
    async with machine(working(playing(), Broken())) as process:
        with pytest.raises(WorkspaceError) as caught:
            await (await process.start()).ref("agent", "u1").prompt("one")
    assert (caught.value.message, caught.value.dev) == (
        "The agent's workspace cannot be used.",
        "No room. /secret/place is full",
    )


async def test_packaged_skills_need_no_sandbox(tmp_path: Path) -> None:
    skill = load_skill(write_skill(tmp_path, files={"notes.md": "Mind the tests."}))
    model = playing(
        calls("activate_skill", name="review"), calls("read_skill_resource", skill="review", path="notes.md")
    )
    async with machine(create_agent(model=model, skills=[skill])) as process:
        ref = (await process.start()).ref("agent", "u1")
        await ref.prompt("Look at it.")
        activated, read = results_in(await shown(ref))
    assert "- notes.md\n</skill_resources>" in activated
    assert read == "Mind the tests."
    assert model.requests[0].instance_text.startswith("Available skills.")
    assert [tool.name for tool in model.requests[0].tools] == ["activate_skill", "read_skill_resource"]


async def test_skills_of_definition_and_workspace_are_offered_together(tmp_path: Path) -> None:
    write_skill(tmp_path / SKILLS, "write")
    packaged = load_skill(write_skill(tmp_path / "packaged"))
    model = playing()
    async with machine(working(model, local(tmp_path), packaged)) as process:
        ref = (await process.start()).ref("agent", "u1")
        await ref.prompt("one")
        await ref.prompt("two")
    assert names(model.requests[0]) == names(model.requests[1]) == ["review", "write"]


async def test_each_instance_is_offered_the_skills_of_its_own_workspace(tmp_path: Path) -> None:
    write_skill(tmp_path / "u1" / SKILLS)
    write_skill(tmp_path / "u2" / SKILLS, "write")
    (tmp_path / "u3").mkdir()
    model = playing()
    async with machine(working(model, Apart(tmp_path))) as process:
        runtime = await process.start()
        for id in ("u1", "u2", "u1", "u2", "u3"):
            await runtime.ref("agent", id).prompt("one")
    assert [names(each) for each in model.requests[:4]] == [["review"], ["write"]] * 2
    assert "activate_skill" not in [tool.name for tool in model.requests[4].tools]


async def test_a_packaged_skill_is_sent_as_a_message(tmp_path: Path) -> None:
    skill = load_skill(write_skill(tmp_path))
    async with machine(create_agent(model=playing(), skills=[skill])) as process:
        ref = (await process.start()).ref("agent", "u1")
        assert (await ref.skill("review", args={"file": "a.py"})).text == "Done."
        sent = text_of((await shown(ref))[0])
    assert "<skill_instructions>\nRead it twice.\n</skill_instructions>" in sent
    assert '<skill_arguments>\n{\n  "file": "a.py"\n}\n</skill_arguments>' in sent


async def test_of_a_workspace_s_skill_the_name_is_sent_in_the_first_message_and_in_later_ones(tmp_path: Path) -> None:
    write_skill(tmp_path / SKILLS)
    model = playing(calls("activate_skill", name="review"))
    async with machine(working(model, local(tmp_path))) as process:
        ref = (await process.start()).ref("agent", "u1")
        await ref.skill("review")
        ref = (await process.restart()).ref("agent", "u1")
        await ref.skill("review")
        sent = [text_of(message) for message in (await shown(ref))[::4]]
    assert sent == ['Run the skill "review": call activate_skill for its instructions, and follow them.'] * 2


async def test_an_unknown_skill_is_refused_and_the_next_message_answered(tmp_path: Path) -> None:
    write_skill(tmp_path / SKILLS)
    async with machine(working(playing(), local(tmp_path))) as process:
        ref = (await process.start()).ref("agent", "u1")
        with pytest.raises(SkillNotFoundError) as caught:
            await ref.skill("nothing")
        assert caught.value.meta == {"skills": ["review"]}
        assert (await ref.prompt("hello")).text == "Done."


async def test_a_task_works_by_the_rules_of_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("Be kind.")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "AGENTS.md").write_text("Be exact.")
    write_skill(tmp_path / "sub" / SKILLS)
    below = playing(calls("activate_skill", name="review"))
    worker = define_agent_profile(name="worker", description="Works.", model=below)
    model = playing(calls("task", agent="worker", prompt="Do it.", cwd="sub"))
    agent = create_agent(model=model, sandbox=local(tmp_path), subagents=[worker])
    async with machine(agent) as process:
        ref = (await process.start()).ref("agent", "u1")
        await ref.prompt("Go.")
    assert below.requests[0].instance_text.startswith("Be exact.\n\nAvailable skills.")
    assert f"Working directory: {tmp_path}/sub" in below.requests[0].instance_text
    assert "Read it twice." in text_of(below.requests[1].messages[-1])
    assert model.requests[0].instance_text.startswith("Be kind.\n\nConversation id")


async def test_a_task_has_the_skills_of_its_profile_and_not_those_of_its_parent(tmp_path: Path) -> None:
    packaged = load_skill(write_skill(tmp_path))
    below = playing(calls("activate_skill", name="review"))
    worker = define_agent_profile(name="worker", description="Works.", model=below, skills=[packaged])
    model = playing(calls("task", agent="worker", prompt="Do it."))
    other = load_skill(write_skill(tmp_path, "write"))
    async with machine(create_agent(model=model, skills=[other], subagents=[worker])) as process:
        await (await process.start()).ref("agent", "u1").prompt("Go.")
    assert (names(below.requests[0]), names(model.requests[0])) == (["review"], ["write"])
    assert "Read it twice." in text_of(below.requests[1].messages[-1])


async def test_a_malformed_skill_in_a_task_s_folder_fails_the_task_alone(tmp_path: Path) -> None:
    write_skill(tmp_path / "sub" / SKILLS).rename(tmp_path / "sub" / SKILLS / "other")
    worker = define_agent_profile(name="worker", description="Works.")
    model = playing(calls("task", agent="worker", prompt="Do it.", cwd="sub"))
    async with machine(create_agent(model=model, sandbox=local(tmp_path), subagents=[worker])) as process:
        ref = (await process.start()).ref("agent", "u1")
        assert (await ref.prompt("Go.")).text == "Done."
        assert results_in(await shown(ref)) == ["The task failed: The agent's workspace cannot be used."]


async def test_a_detached_task_in_another_folder_works_in_the_same_sandbox(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    sandbox = Counted(local(tmp_path), [])
    worker = define_agent_profile(name="worker", description="Works.")
    model = playing(calls("task", agent="worker", prompt="Do it.", cwd="sub", detached=True))
    below = playing()
    worker = define_agent_profile(name="worker", description="Works.", model=below)
    async with machine(create_agent(model=model, sandbox=sandbox, subagents=[worker])) as process:
        runtime = await process.start()
        ref = runtime.ref("agent", "u1")
        await ref.prompt("Go.")
        (task,) = [each.name for each in await ref.sessions() if each.name.startswith("task:")]
        await runtime.stop(10)
    assert task
    assert f"Working directory: {tmp_path}/sub" in below.requests[0].instance_text
    assert len(sandbox.opened) == 1


@pytest.mark.parametrize("dies_after", range(1, 7))
async def test_a_crash_at_any_moment_leaves_what_is_told_as_it_was(dies_after: int, tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("Be kind.")
    write_skill(tmp_path / SKILLS)
    model = playing(calls("activate_skill", name="review"))
    async with machine(working(model, local(tmp_path))) as process:
        asking = asyncio.ensure_future(
            (await process.start(dies_after=dies_after)).ref("agent", "u1").prompt("Look at it.", idempotency_key="k")
        )
        assert process.process is not None
        dying = asyncio.ensure_future(process.process.died.wait())
        await asyncio.wait([asking, dying], timeout=10, return_when=asyncio.FIRST_COMPLETED)
        for each in (asking, dying):
            each.cancel()
        await asyncio.wait([asking, dying])
        ref = (await process.restart()).ref("agent", "u1")
        assert (await ref.prompt("Look at it.", idempotency_key="k")).text == "Done."
        await ref.prompt("and now")
        activated = results_in(await shown(ref))
    assert ["Read it twice." in each for each in activated] == [True, True]
    assert len(set(told(model))) == 1


async def test_agents_that_are_made_for_each_message_keep_what_was_told(tmp_path: Path) -> None:
    write_skill(tmp_path / SKILLS)
    model, sandbox = playing(), Counted(local(tmp_path), [])
    agent = create_agent(lambda _: AgentConfig(model=model, instructions="Help.", sandbox=sandbox))
    async with machine(agent) as process:
        ref = (await process.start()).ref("agent", "u1")
        await ref.prompt("one")
        write_skill(tmp_path / SKILLS, "write")
        await ref.prompt("two")
    assert len(set(told(model))) == 1


async def test_an_agent_without_sandbox_and_skills_is_told_what_it_always_was() -> None:
    model = playing()
    async with machine(create_agent(model=model, instructions="Help.")) as process:
        runtime = await process.start()
        await runtime.ref("agent", "u1").prompt("one")
        at = process.clock.now_ms()
    assert model.requests[0].instance_text == prompts.instance_text(U1, at)
    assert model.requests[0].tools == ()
