"""``GET /agents/{name}/{id}/stream``: a conversation's events behind an offset, then as they come, without end."""

from typing import Final

from flue_actors.gateway.asgi import receive_of
from flue_actors.gateway.following import FollowStream
from flue_actors.gateway.resources.call import Call
from flue_actors.gateway.sse import CONTENT_TYPE
from flue_actors.ids import DEFAULT_SESSION, check_session_name

_STREAM_HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}


async def stream(call: Call) -> None:
    """``?session=``, and ``Last-Event-ID`` or else ``?offset=``: the last event the reader has; without one, from now on.

    Raises:
        InvalidRequestError: It is no offset of this session.
    """
    query, gateway = call.guarded.query, call.gateway
    after = call.request.get_header("last-event-id") or query("offset")
    session = query("session") or DEFAULT_SESSION
    check_session_name(session)
    followed = gateway.take_in().follow(call.key, session, after)
    try:
        await followed.begin()
    except BaseException:
        followed.close()
        raise
    events = FollowStream(
        followed,
        receive_of(call.request),
        instance_id=call.key.id,
        heartbeat=gateway.settings.heartbeat,
        forget=gateway.followers.discard,
    )
    gateway.followers.add(events)
    call.response.content_type = CONTENT_TYPE
    call.response.set_headers(_STREAM_HEADERS)
    call.response.stream = events
