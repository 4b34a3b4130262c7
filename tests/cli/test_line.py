"""The line of `flue-actors connect` to a server: whose troubles are one that lasts, and whose are several."""

import asyncio
from typing import Any, cast

from flue_actors.gateway.cli.line import Line
from tests.runtime.support import virtual_time


class Servers:
    """A server that is there whenever it is dialled; ``dialled`` counts the connections."""

    def __init__(self) -> None:
        self.dialled = 0

    async def dial(self) -> object:
        self.dialled += 1
        return object()


@virtual_time
async def test_a_server_that_is_started_again_and_again_is_none_that_is_gone() -> None:
    servers = cast("Any", Servers())
    line = Line(servers, await servers.dial())
    for _ in range(20):
        await asyncio.sleep(2)
        await line.mend(line.socket)
    assert servers.dialled == 21
