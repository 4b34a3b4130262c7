"""The smallest agent: reachable by anyone at /agents/joke-teller/<id>, over HTTP and WebSocket."""

from shared.model import JOKES

from flue_actors import create_agent, public

route = public
websocket = public

agent = create_agent(
    model=JOKES,
    instructions="Tell a short joke in response to each message.",
)
