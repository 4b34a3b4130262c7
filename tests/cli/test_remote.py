"""What `flue-actors connect` says of a server that leaves in the middle of a conversation."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from flue_actors.errors import UnavailableError
from flue_actors.gateway.cli.chat import Chat
from flue_actors.gateway.cli.dialing import Target
from flue_actors.gateway.cli.remote import remote_chat

READY = '{"version":1,"type":"ready","target":"agent","name":"a","instanceId":"me"}'
STARTED = '{"version":1,"type":"started","requestId":"1"}'


@asynccontextmanager
async def chat_with_a_server_that_leaves(*, after_a_line: bool, saying: str = READY) -> AsyncGenerator[Chat]:
    async def converse(socket: ServerConnection) -> None:
        if after_a_line:
            await socket.recv()
        await socket.send(saying)

    async with serve(converse, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with remote_chat(Target(f"http://127.0.0.1:{port}", "a", "me"), session="default") as chat:
            yield chat


async def why_it_broke_off(chat: Chat) -> str:
    with pytest.raises(UnavailableError, match=r"The server closed the connection \(1000\)") as broken:
        async for _ in chat.ask("Hello!"):
            pass
    return broken.value.details


async def test_a_line_that_was_not_sent_is_said_so() -> None:
    async with chat_with_a_server_that_leaves(after_a_line=False) as chat:
        lost = await chat.lost()
        assert lost.details == "Connect again to go on."
        assert await why_it_broke_off(chat) == "Your last line was not sent. Connect again to go on."


async def test_a_line_that_nobody_acknowledged_may_have_arrived_or_not() -> None:
    async with chat_with_a_server_that_leaves(after_a_line=True) as chat:
        assert "not known whether your last line arrived" in await why_it_broke_off(chat)


async def test_a_line_that_was_accepted_is_worked_on_all_the_same() -> None:
    async with chat_with_a_server_that_leaves(after_a_line=True, saying=STARTED) as chat:
        assert "worked on all the same" in await why_it_broke_off(chat)
