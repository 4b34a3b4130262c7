"""The agents' routes, and one that dispatches."""

import falcon
import msgspec
from falcon.asgi import App, Request, Response

from flue_actors import FlueError, dispatch, mount
from flue_actors.gateway.errors import answer


class Dispatches:
    async def on_post(self, request: Request, response: Response, agent: str, id: str) -> None:
        receipt = await dispatch(agent, id=id, input=await request.get_media())
        response.status = falcon.HTTP_ACCEPTED
        response.data = msgspec.json.encode(receipt)
        response.content_type = falcon.MEDIA_JSON


async def show_error(_: Request, response: Response, error: FlueError, params: object) -> None:
    reply = answer(error)
    response.status = reply.status
    response.set_headers(reply.headers)
    response.data = reply.body
    response.content_type = falcon.MEDIA_JSON


app = App()
app.add_error_handler(FlueError, show_error)
app.add_route("/dispatches/{agent}/{id}", Dispatches())
mount(app)
