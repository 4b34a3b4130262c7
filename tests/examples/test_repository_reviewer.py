"""The repository reviewer: a skill, a folder of this machine, and tools of its own."""

from flue_actors.definition.project import Project
from flue_actors.events import Operation, PromptResult, ToolCallEnd
from flue_actors.messages import ToolResultMessage, text_of
from flue_actors.models.protocol import ModelRequest
from flue_actors.testing import FlueRuntime, ScriptedModel, calls
from tests.support.served import Served

NAME = "repository-reviewer"
FINDING = "prices.py:4  A discount of 120 percent makes a negative price.\nevidence: prices.py:11"


def results(request: ModelRequest) -> list[str]:
    """What the tools answered so far, in order."""
    return [text_of(message) for message in request.messages if isinstance(message, ToolResultMessage)]


async def test_it_reviews_a_change_by_the_checklist_and_with_evidence(
    project: Project, flue_runtime: FlueRuntime
) -> None:
    model = ScriptedModel(
        [
            calls("activate_skill", name="review-checklist"),
            (
                calls("read_change", number=142),
                calls("read_skill_resource", skill="review-checklist", path="report.md"),
            ),
            (calls("read", path="prices.py"), calls("grep", pattern=r"price_after\(", include="*.py")),
            FINDING,
        ]
    )
    async with flue_runtime(project.agents, models=model) as machine:
        seen = [event async for event in machine.ref(NAME, "change-142").stream("Review change 142.")]
    checklist, diff, form, file, callers = results(model.requests[-1])
    assert "Search for callers" in checklist
    assert "-    if not 0 <= percent <= 100:" in diff
    assert "<file>:<line>" in form
    assert "def basket" in file
    assert "prices.py:11:    return sum(price_after(cents, percent) for cents in prices)" in callers
    assert not [event.tool_name for event in seen if isinstance(event, ToolCallEnd) and event.is_error]
    (end,) = [event for event in seen if isinstance(event, Operation)]
    assert isinstance(end.result, PromptResult)
    assert end.result.text == FINDING


async def test_its_model_knows_the_skill_and_the_rules_of_the_repository_from_the_start(
    project: Project, flue_runtime: FlueRuntime
) -> None:
    model = ScriptedModel(["Which change?"])
    async with flue_runtime(project.agents, models=model) as machine:
        await machine.ref(NAME, "hello").prompt("Hello!")
    (request,) = model.requests
    assert "report only findings supported by evidence" in request.instructions
    assert "How changes are reviewed here." in request.instance_text
    assert "Prices are whole cents, never floats." in request.instance_text
    assert "Search for callers" not in request.instance_text


async def test_it_finds_out_which_changes_wait_and_is_told_of_one_that_does_not(
    project: Project, flue_runtime: FlueRuntime
) -> None:
    model = ScriptedModel([(calls("list_changes"), calls("read_change", number=7)), "There is only 142."])
    async with flue_runtime(project.agents, models=model) as machine:
        await machine.ref(NAME, "list").prompt("What is there to review?")
    assert results(model.requests[-1]) == ['["142"]', "There is no change 7."]


async def test_its_file_tools_stay_in_the_repositories(project: Project, flue_runtime: FlueRuntime) -> None:
    (project.root / "secret.txt").write_text("for nobody")
    model = ScriptedModel([(calls("read", path="../../secret.txt"), calls("read", path="/etc/passwd")), "No."])
    async with flue_runtime(project.agents, models=model) as machine:
        await machine.ref(NAME, "out").prompt("Show me the secret.")
    why = "The path leads outside of the workspace."
    assert results(model.requests[-1]) == [f"../../secret.txt: {why}", f"/etc/passwd: {why}"]


def test_strangers_are_kept_out_and_ada_can_run_it_over_http(examples: Served) -> None:
    script = 'call activate_skill {"name": "review-checklist"}\nthen\ncall bash {"command": "wc -l prices.py"}'
    assert examples.prompt(NAME, "http", script).status == 401
    answer = examples.prompt(NAME, "http", script, Authorization="Bearer token-of-ada")
    assert answer.status == 200
    assert "11 prices.py" in answer.body["result"]["text"]
