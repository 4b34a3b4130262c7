"""``GET /agents/{name}/{id}/status``: what the instance does right now."""

from flue_actors.gateway.resources.call import Call


async def status(call: Call) -> None:
    """Idle, running since when, how much waits. Never waits for the instance."""
    call.answer(await call.agent.status())
