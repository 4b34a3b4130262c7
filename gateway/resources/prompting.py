"""``POST /agents/{name}/{id}``: a message, answered with its result or with the stream of its events."""

from typing import Final

from flue_actors.agent_ref import SessionRef
from flue_actors.errors import InvalidRequestError
from flue_actors.gateway.asgi import Receive, receive_of
from flue_actors.gateway.body import JSON, read_body
from flue_actors.gateway.resources.call import Call
from flue_actors.gateway.sse import CONTENT_TYPE
from flue_actors.gateway.streams import EventStream
from flue_actors.gateway.wire import PromptBody, ResultBody, decode_prompt, encode

_STREAM_HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}


async def prompt(call: Call) -> None:
    """Accept the message; it is on disk before the first byte of an answer leaves."""
    request = call.request
    receive = receive_of(request)
    raw = await read_body(
        receive, request.get_header("content-length"), request.content_type, call.gateway.settings.max_body
    )
    if (request.get_header("x-webhook") or "").lower() == "true":
        raise InvalidRequestError(
            "Webhooks are not taken on an agent's own path.",
            details="Receive them in a route of your own and hand them over with dispatch().",
        )
    body = decode_prompt(raw)
    session = call.gateway.session(call.key, body.session)
    if CONTENT_TYPE in request.accept:
        await _stream(call, session, body, receive)
    else:
        await _answer(call, session, body)


async def _answer(call: Call, session: SessionRef, body: PromptBody) -> None:
    result = await session.prompt(body.message, if_busy=body.if_busy, principal=call.guarded.principal)
    call.response.content_type = JSON
    call.response.data = encode(ResultBody(result=result))


async def _stream(call: Call, session: SessionRef, body: PromptBody, receive: Receive) -> None:
    submitted = await session.submit(body.message, if_busy=body.if_busy, principal=call.guarded.principal, watch=True)
    gateway = call.gateway
    stream = EventStream(
        submitted.feed,
        receive,
        instance_id=call.key.id,
        heartbeat=gateway.settings.heartbeat,
        forget=gateway.streams.discard,
    )
    gateway.streams.add(stream)
    call.response.content_type = CONTENT_TYPE
    call.response.set_headers(_STREAM_HEADERS)
    call.response.stream = stream
