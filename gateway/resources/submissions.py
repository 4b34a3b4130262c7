"""``GET /agents/{name}/{id}/submissions/{submission}``: an accepted input and what became of it."""

import asyncio
from typing import Final

import msgspec

from flue_actors.agent_ref import AgentRef
from flue_actors.errors import InterruptedTurnError, TurnError
from flue_actors.gateway.queries import seconds
from flue_actors.gateway.resources.call import Call
from flue_actors.gateway.wire import SubmissionBody

MAX_WAIT: Final = 60.0


async def submission(call: Call) -> None:
    """As it stands; with ``?wait=<seconds>`` (0 to 60) at its outcome, or after that time as it stands then.

    One that is not settled names the decisions it waits for.
    """
    patience = seconds("wait", call.guarded.query("wait"), default=0.0, high=MAX_WAIT)
    agent = call.agent
    found = await agent.submission(call.parameter)
    if patience and found.status != "settled":
        await _outcome(agent, call.parameter, patience)
        found = await agent.submission(call.parameter)
    unsettled = found.status != "settled"
    needed = (
        [each for each in await agent.approvals() if each.submission_id == found.submission_id] if unsettled else []
    )
    call.answer(SubmissionBody(**msgspec.structs.asdict(found), approvals=needed) if needed else found)


async def _outcome(agent: AgentRef, submission_id: str, patience: float) -> None:
    """Wait for it at most so long.

    Raises:
        InterruptedTurnError: The server stops; it is worked on at the next start.
    """
    try:
        async with asyncio.timeout(patience):
            await agent.wait(submission_id)
    except InterruptedTurnError:
        raise
    except (TimeoutError, TurnError):
        pass  # there is none yet, or one like any other
