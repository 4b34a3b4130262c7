"""Detached tasks: subagents at work as inputs of their own, which tell their parent's session what came of it."""

import msgspec

from flue_actors.definition.resolving import ResolvedAgent, resolve_subagent
from flue_actors.errors import CallerError, SubagentNotFoundError, UnavailableError
from flue_actors.inputs import DetachedInput, DispatchInput, Input, decode_input
from flue_actors.reopening import patiently
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


async def report(services: Services, pending: Pending, given: Input, text: str, *, is_error: bool = False) -> None:
    """Tell the session that gave the task away, before the task is settled: once, however often it is tried.

    Raises:
        StoreError: It could not be recorded.
    """
    if not isinstance(given, DetachedInput):
        return
    said = {"type": "task_result", "taskId": given.task_id, "agent": given.path[-1], "isError": is_error, "text": text}
    key, named = pending.submission.key, f"{given.task_id}/result"
    try:
        await patiently(services.send, key, given.reports_to, DispatchInput(said), pending.principal, named)
    except (CallerError, UnavailableError):
        return  # its parent takes nothing any more: it is being erased
