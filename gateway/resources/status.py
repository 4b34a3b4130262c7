"""``GET /agents/{name}/{id}/status``: what the instance does right now."""

import msgspec

from flue_actors.gateway.resources.call import Call
from flue_actors.gateway.wire import StatusBody


async def status(call: Call) -> None:
    """Idle, running since when, how much waits, and for whose decision. Never waits for the instance."""
    agent = call.agent
    found = await agent.status()
    needed = await agent.approvals() if found.queued or found.running else []
    call.answer(StatusBody(**msgspec.structs.asdict(found), approvals=needed) if needed else found)
