"""``/agents/{name}/{id}/sessions``: the instance's conversations, read and removed."""

from typing import Final

import msgspec

from flue_actors.agent_ref import HistoryEntry
from flue_actors.errors import SessionNotFoundError
from flue_actors.gateway.queries import whole_number
from flue_actors.gateway.resources.call import Call
from flue_actors.gateway.wire import HistoryBody, SessionsBody
from flue_actors.messages import anonymous

PAGE: Final = 100
MAX_PAGE: Final = 1000


async def all(call: Call) -> None:
    """Every session of the instance, its tasks' too; none for an instance that was never sent anything."""
    call.answer(SessionsBody(sessions=await call.agent.sessions()))


async def history(call: Call) -> None:
    """A page of the session's messages.

    ``?after=`` pages forwards (from the beginning without it), ``?before=`` backwards; ``next`` continues the same way.
    """
    query = call.guarded.query
    after, before = query("after"), query("before")
    limit = whole_number("limit", query("limit"), default=PAGE, low=1, high=MAX_PAGE)
    session = call.gateway.history(call.key, call.parameter)
    entries = await session.history(after=after, before=before, limit=limit + 1)
    if not entries and call.parameter not in {each.name for each in await call.agent.sessions()}:
        raise SessionNotFoundError
    shown = [msgspec.structs.replace(each, message=anonymous(each.message)) for each in entries]
    call.answer(_page(shown, limit, backwards=before is not None))


async def delete(call: Call) -> None:
    """Abort what runs in the session and remove it. 204 also when there is none."""
    await call.session(call.parameter).delete()
    call.response.status = 204


def _page(entries: list[HistoryEntry], limit: int, *, backwards: bool) -> HistoryBody:
    """``entries`` are one more than fit, if there are more."""
    if len(entries) <= limit:
        return HistoryBody(entries=entries)
    page = entries[1:] if backwards else entries[:-1]
    return HistoryBody(entries=page, next=page[0 if backwards else -1].offset)
