"""The project's own application: a webhook that hands events to an agent, and the agents' routes beside it."""

import falcon
import msgspec
from agents.support_assistant import agent as support_assistant
from falcon.asgi import App, Request, Response
from shared.support_webhooks import verified_event

from flue_actors import dispatch, mount


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


app = App()
app.add_route("/webhooks/support-comments", SupportComments())
mount(app)
