"""Clients whose work is to end when they leave (``cancelOnDisconnect``); everybody else's goes on."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from flue_actors.errors import FlueError
from flue_actors.gateway.asgi import Event, Receive

DISCONNECTED: Final = "disconnected"
"""Why their work is aborted."""

logger = logging.getLogger("flue_actors.gateway")


def aborting(receive: Receive, abort: Callable[[], Awaitable[bool]]) -> Receive:
    """``receive``, which aborts when it hears that the client left."""

    async def receive_on() -> Event:
        event = await receive()
        if event["type"] == "http.disconnect":
            try:
                await abort()
            except FlueError as error:  # the server stops, or its store is full: nobody is left to be told
                logger.warning("work whose client left goes on: %s", error)
        return event

    return receive_on


async def until_left(receive: Receive) -> None:
    """Wait until the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass
