"""``DELETE /agents/{name}/{id}``: forget an instance."""

from flue_actors.gateway.resources.call import Call


async def erase(call: Call) -> None:
    """Abort everything and remove it, sessions, submissions and files. 204 when nothing of it is left."""
    await call.agent.erase()
    call.response.status = 204
