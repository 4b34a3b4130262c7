"""``POST /agents/{name}/{id}/abort``: stop what runs and what waits."""

from flue_actors.errors import InvalidRequestError
from flue_actors.gateway.resources.call import Call
from flue_actors.gateway.wire import AbortBody, AbortedBody, decode_abort


async def abort(call: Call) -> None:
    """Answers when the wish is durable: what it names is settled ``aborted``, a restart notwithstanding."""
    count = await _abort(call, decode_abort(await call.body()))
    call.answer(AbortedBody(aborted=count > 0, count=count))


async def _abort(call: Call, named: AbortBody) -> int:
    if named.submission_id is None:
        return await (call.agent if named.session is None else call.session(named.session)).abort()
    if named.session is not None:
        raise InvalidRequestError("A submission and a session are named.", details="Name one of them, or neither.")
    return int(await call.agent.abort_submission(named.submission_id))
