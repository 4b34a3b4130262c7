"""The route table of an agent instance: every path and method there is, on one screen.

`AgentsResource` is the only way in, and it runs the agent's guard before whatever stands here: a route cannot be added
without being guarded.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from flue_actors.gateway.resources import prompting, status
from flue_actors.gateway.resources.call import Call

Handler = Callable[[Call], Awaitable[None]]


class Route(msgspec.Struct, frozen=True):
    """One path below ``/agents/{name}/{id}``: its handlers by method, and whether a WebSocket may be opened there."""

    methods: Mapping[str, Handler]
    socket: bool = False

    @property
    def allow(self) -> str:
        """The ``Allow`` header."""
        return ", ".join(self.methods)


ROUTES: Final[Mapping[tuple[bytes, ...], Route]] = {
    (): Route({"POST": prompting.prompt}, socket=True),
    (b"status",): Route({"GET": status.status}),
}
"""By the path's segments behind the id, as they stand in the request line."""
