"""The policy assistant: it answers with what its subagent found."""

from flue_actors.definition.project import Project
from flue_actors.events import Task, TaskStart, ToolCallEnd
from flue_actors.ids import TASK_PREFIX
from flue_actors.messages import ToolResultMessage, text_of
from flue_actors.models.protocol import ModelRequest
from flue_actors.testing import FlueRuntime, FunctionModel, calls
from flue_actors.testing.replies import Written
from tests.support.served import Served

NAME = "policy-assistant"
RULE = "Hotels are paid up to 160 euros a night, breakfast included."


def answers(request: ModelRequest) -> Written:
    """The parent delegates and quotes; the subagent searches and quotes."""
    last = request.messages[-1]
    found = text_of(last) if isinstance(last, ToolResultMessage) else None
    if any(tool.name == "task" for tool in request.tools):
        if found is None:
            return calls("task", agent="policy_researcher", prompt="What may a hotel cost? Quote the policy.")
        return f"The policy says: {found}"
    return calls("grep", pattern="Hotels") if found is None else f"> {found.strip()}"


async def test_the_answer_quotes_what_the_researcher_found(project: Project, flue_runtime: FlueRuntime) -> None:
    model = FunctionModel(answers)
    async with flue_runtime(project.agents, models=model) as machine:
        answer = await machine.ref(NAME, "ada").prompt("What may a hotel cost?")
    assert RULE in answer.text
    assert "travel.md:4" in answer.text
    parent, child, *_ = model.requests
    assert "only after delegating" in parent.instructions
    assert "return supporting quotations" in child.instructions
    assert [text_of(message) for message in child.messages] == ["What may a hotel cost? Quote the policy."]


async def test_whoever_watches_sees_the_researcher_at_work(project: Project, flue_runtime: FlueRuntime) -> None:
    async with flue_runtime(project.agents, models=FunctionModel(answers)) as machine:
        ada = machine.ref(NAME, "ada")
        seen = [event async for event in ada.stream("What may a hotel cost?")]
        sessions = {session.name: session.parent for session in await ada.sessions()}
    (start,) = [event for event in seen if isinstance(event, TaskStart)]
    (end,) = [event for event in seen if isinstance(event, Task)]
    (grep,) = [event for event in seen if isinstance(event, ToolCallEnd) and event.tool_name == "grep"]
    assert (start.agent, end.is_error) == ("policy_researcher", False)
    assert isinstance(start.task_id, str)
    assert grep.task_id == end.task_id == start.task_id
    assert grep.parent_session == "default"
    assert sessions == {"default": None, f"{TASK_PREFIX}default:{start.task_id}": "default"}


async def test_what_the_researcher_used_is_in_the_total(project: Project, flue_runtime: FlueRuntime) -> None:
    async with flue_runtime(project.agents, models=FunctionModel(answers)) as machine:
        answer = await machine.ref(NAME, "ada").prompt("What may a hotel cost?")
    assert answer.total_usage
    assert answer.total_usage.total_tokens > answer.usage.total_tokens


def test_it_delegates_over_http(examples: Served) -> None:
    script = 'call task {"agent": "policy_researcher", "prompt": "call grep {\\"pattern\\": \\"Hotels\\"}"}'
    assert examples.prompt(NAME, "http", script).status == 401
    answer = examples.prompt(NAME, "http", script, Authorization="Bearer token-of-ada")
    assert answer.status == 200
    assert RULE in answer.body["result"]["text"]
