"""Detached tasks: subagents at work as inputs of their own, which tell their parent's session what came of it."""

import msgspec

from flue_actors.definition.resolving import ResolvedAgent, resolve_subagent
from flue_actors.errors import SubagentNotFoundError
from flue_actors.events import PromptResult, PublicError
from flue_actors.inputs import DetachedInput, DispatchInput, Input, decode_input
from flue_actors.owed import Owed
from flue_actors.services import Services
from flue_actors.storage import Submission
from flue_actors.submissions import Pending


def subagent_at(agent: ResolvedAgent, given: DetachedInput) -> ResolvedAgent:
    """The configuration of the subagent that the path leads to.

    Raises:
        SubagentNotFoundError: The definition does not have it any more.
    """
    for name in given.path:
        profile = next((each for each in agent.subagents if each.name == name), None)
        if profile is None:
            raise SubagentNotFoundError(meta={"subagents": [each.name for each in agent.subagents]})
        agent = resolve_subagent(profile, agent)
    return agent if given.cwd is None else msgspec.structs.replace(agent, cwd=given.cwd)


def conversation_of(submission: Submission) -> str:
    """The session that hears of what this input gives away: a task's own takes no messages, so it is the agent's."""
    given = decode_input(submission.payload)
    return given.reports_to if isinstance(given, DetachedInput) else submission.session


def told_of(task: DetachedInput, came_to: PromptResult | PublicError) -> DispatchInput:
    """What the session that gave a task away is told of it."""
    failed = isinstance(came_to, PublicError)
    return DispatchInput(
        {
            "type": "task_result",
            "taskId": task.task_id,
            "agent": task.path[-1],
            "isError": failed,
            "text": f"It failed: {came_to.message}" if failed else came_to.text,
        }
    )


def report(services: Services, pending: Pending, given: Input, came_to: PromptResult | PublicError) -> Owed | None:
    """The report of a detached task, to be written together with its outcome; None for any other input."""
    if not isinstance(given, DetachedInput):
        return None
    key = pending.submission.key
    return services.inside().owe(key, given.reports_to, told_of(given, came_to), pending.principal)
