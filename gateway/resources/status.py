"""``GET /agents/{name}/{id}/status``: what the instance does right now."""

from flue_actors.gateway.body import JSON
from flue_actors.gateway.resources.call import Call
from flue_actors.gateway.wire import encode


async def status(call: Call) -> None:
    """Idle, running since when, how much waits. Never waits for the instance."""
    now = await call.gateway.take_in().ref(call.key.agent, call.key.id).status()
    call.response.content_type = JSON
    call.response.data = encode(now)
