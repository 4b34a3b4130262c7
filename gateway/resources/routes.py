"""The route table of an agent instance: every path and method there is, on one screen.

`AgentsResource` is the only way in, and it runs the agent's guard before whatever stands here: a route cannot be added
without being guarded.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from flue_actors.errors import RouteNotFoundError
from flue_actors.gateway.resources import (
    abort,
    approvals,
    attachments,
    instance,
    prompting,
    sessions,
    status,
    streaming,
    submissions,
)
from flue_actors.gateway.resources.call import Call

Handler = Callable[[Call], Awaitable[None]]

ANY: Final = None
"""In the table: any segment that is not empty. It is the route's parameter."""


class Route(msgspec.Struct, frozen=True):
    """One path below ``/agents/{name}/{id}``: its handlers by method, and whether a WebSocket may be opened there."""

    methods: Mapping[str, Handler]
    socket: bool = False

    @property
    def allow(self) -> str:
        """The ``Allow`` header."""
        return ", ".join(self.methods)


ROUTES: Final[Mapping[tuple[bytes | None, ...], Route]] = {
    (): Route({"POST": prompting.prompt, "DELETE": instance.erase}, socket=True),
    (b"status",): Route({"GET": status.status}),
    (b"abort",): Route({"POST": abort.abort}),
    (b"stream",): Route({"GET": streaming.stream}),
    (b"sessions",): Route({"GET": sessions.all}),
    (b"sessions", ANY): Route({"GET": sessions.history, "DELETE": sessions.delete}),
    (b"approvals",): Route({"GET": approvals.all}),
    (b"approvals", ANY): Route({"POST": approvals.decide}),
    (b"attachments", ANY): Route({"GET": attachments.attachment}),
    (b"submissions", ANY): Route({"GET": submissions.submission}),
}
"""By the path's segments behind the id, as they stand in the request line."""


def find_route(tail: tuple[bytes, ...]) -> tuple[Route, bytes]:
    """The route of a path and the parameter in it; ``b""`` where it has none.

    Raises:
        RouteNotFoundError: There is none.
    """
    if (route := ROUTES.get(tail)) is not None:
        return route, b""
    if tail and tail[-1] and (route := ROUTES.get((*tail[:-1], ANY))) is not None:
        return route, tail[-1]
    raise RouteNotFoundError
