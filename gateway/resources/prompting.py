"""``POST /agents/{name}/{id}``: a message, answered with its result, with the stream of its events, or with a receipt."""

import asyncio
from functools import partial
from typing import Final
from urllib.parse import quote

import msgspec

from flue_actors.agent_ref import Submitted
from flue_actors.errors import DrainingError, InvalidRequestError, StoreUnavailableError
from flue_actors.events import PromptResult
from flue_actors.gateway.asgi import Receive, receive_of
from flue_actors.gateway.leaving import DISCONNECTED, aborting, until_left
from flue_actors.gateway.preferences import RESPOND_ASYNC, prefers
from flue_actors.gateway.resources.call import Call
from flue_actors.gateway.sse import CONTENT_TYPE, STREAM_HEADERS
from flue_actors.gateway.streams import EventStream
from flue_actors.gateway.wire import AcceptedBody, ResultBody, decode_prompt

_KEPT: Final = "The message is kept and worked on. There is no need to send it again: its outcome is in its submission."


async def prompt(call: Call) -> None:
    """Accept the message; it is on disk before the first byte of an answer leaves."""
    receive = receive_of(call.request)
    later = prefers(call.request.get_header("prefer"), RESPOND_ASYNC)
    streamed = not later and CONTENT_TYPE in call.request.accept
    accepted = await _accept(call, receive, watch=streamed)
    submitted = accepted.submitted
    if later:
        _give_receipt(call, accepted)
        return
    if accepted.bound:
        receive = aborting(receive, partial(call.agent.abort_submission, submitted.submission_id, reason=DISCONNECTED))
    if streamed:
        _stream(call, submitted, receive)
    else:
        result = await _outcome(call, submitted, receive if accepted.bound else None)
        call.answer(ResultBody(result=result))


class _Accepted(msgspec.Struct, frozen=True):
    """What is left of a body while its message is worked on: its pictures may be megabytes. ``bound``: to its client."""

    submitted: Submitted
    session: str
    bound: bool


async def _accept(call: Call, receive: Receive, *, watch: bool) -> _Accepted:
    raw = await call.body(receive)
    _refuse_webhook(call)
    body = decode_prompt(raw)
    submitted = await call.gateway.submit(
        call.key,
        body,
        principal=call.guarded.principal,
        idempotency_key=call.request.get_header("idempotency-key"),
        watch=watch,
    )
    return _Accepted(submitted, body.session, body.cancel_on_disconnect)


def _refuse_webhook(call: Call) -> None:
    if (call.request.get_header("x-webhook") or "").lower() == "true":
        raise InvalidRequestError(
            "Webhooks are not taken on an agent's own path.",
            details="Receive them in a route of your own and hand them over with dispatch().",
        )


def _give_receipt(call: Call, accepted: _Accepted) -> None:
    path, submission_id, offset = call.path, accepted.submitted.submission_id, accepted.submitted.offset
    stream = f"{path}/stream?session={quote(accepted.session, safe='')}&offset={quote(offset, safe='')}"
    call.response.set_header("location", f"{path}/submissions/{quote(submission_id, safe='')}")
    call.response.set_header("preference-applied", RESPOND_ASYNC)
    call.answer(AcceptedBody(submission_id=submission_id, stream_url=stream, offset=offset), status=202)


async def _outcome(call: Call, submitted: Submitted, bound_to: Receive | None) -> PromptResult:
    watch = None if bound_to is None else asyncio.get_running_loop().create_task(until_left(bound_to))
    try:
        return await submitted.result()
    except StoreUnavailableError as error:  # which others may have got too
        raise StoreUnavailableError(error.message, details=_KEPT, meta=_whereabouts(submitted)) from error
    except asyncio.CancelledError:
        if not call.gateway.draining:
            raise
        # The server has waited as long as it may; the work goes on in its runtime.
        raise DrainingError(details=_KEPT, meta=_whereabouts(submitted)) from None
    finally:
        if watch is not None:
            watch.cancel()


def _whereabouts(submitted: Submitted) -> dict[str, str]:
    return {"submissionId": submitted.submission_id, "offset": submitted.offset}


def _stream(call: Call, submitted: Submitted, receive: Receive) -> None:
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
    call.response.set_headers(STREAM_HEADERS)
    call.response.stream = stream
