"""The project's own application: a webhook that hands events to an agent, and the agents' routes beside it."""

import falcon
import msgspec
from agents.support_assistant import agent as support_assistant
from falcon.asgi import App, Request, Response
from shared.support_webhooks import verified_event

from flue_actors import FlueError, dispatch, mount
from flue_actors.gateway.errors import answer


class SupportComments:
    async def on_post(self, request: Request, response: Response) -> None:
        event = await verified_event(request)
        receipt = await dispatch(
            support_assistant,
            id=event.ticket_id,
            session="customer-follow-up",
            input={"type": "support.comment.created", "commentId": event.comment_id, "text": event.text},
        )
        response.status = falcon.HTTP_ACCEPTED
        response.data = msgspec.json.encode(receipt)
        response.content_type = falcon.MEDIA_JSON


async def show_error(_: Request, response: Response, error: FlueError, params: object) -> None:
    """What `dispatch` raises, as the agents' own routes answer it: 503 while the server stops, 429 when too much waits."""
    reply = answer(error)
    response.status = reply.status
    response.set_headers(reply.headers)
    response.data = reply.body
    response.content_type = falcon.MEDIA_JSON


app = App()
app.add_error_handler(FlueError, show_error)
app.add_route("/webhooks/support-comments", SupportComments())
mount(app)
