"""What `flue-actors connect` does when its server leaves in the middle of a conversation."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from flue_actors.errors import AbortedError, TooLargeError, TurnError, UnavailableError
from flue_actors.events import ApprovalRequested, Event, Idle, Log, TextDelta
from flue_actors.gateway.cli.chat import Chat, Question, Reconnected
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
        async with remote_chat(Target(f"http://127.0.0.1:{port}", "a", "me"), session="default", patience=0) as chat:
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


Converse = Callable[[ServerConnection, int], Awaitable[None]]


def event(request: str, event: dict[str, Any]) -> str:
    return json.dumps({"version": 1, "type": "event", "requestId": request, "event": event})


def outcome(request: str) -> str:
    return json.dumps({"version": 1, "type": "result", "requestId": request, "result": None})


@asynccontextmanager
async def chat_over(converse: Converse, *, patience: float = 5.0, **options: Any) -> AsyncGenerator[Chat]:
    """A chat with a server that says this; it is told how many connections there were before."""
    connections = 0

    async def count(socket: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await converse(socket, connections - 1)

    async with serve(count, "127.0.0.1", 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with remote_chat(Target(f"http://127.0.0.1:{port}", "a", "me"), session="s", patience=patience) as chat:
            yield chat


async def answer(chat: Chat, message: str = "Hello!") -> list[Event | Reconnected]:
    async with asyncio.timeout(10):
        return [each async for each in chat.ask(message)]


async def test_a_lost_connection_is_made_again_and_the_same_line_asked_for_again() -> None:
    asked: list[dict[str, Any]] = []

    async def converse(socket: ServerConnection, before: int) -> None:
        await socket.send(READY)
        asked.append(json.loads(await socket.recv()))
        await socket.send(STARTED)
        if not before:
            await socket.send(event("1", {"type": "text_delta", "text": "a"}))
            socket.transport.abort()
            return
        await socket.send(event("1", {"type": "idle"}))
        await socket.send(outcome("1"))
        await socket.wait_closed()

    async with chat_over(converse) as chat:
        assert await answer(chat) == [TextDelta(text="a"), Reconnected(), Idle()]
    assert asked[0] == asked[1]
    assert len(asked[0]["idempotencyKey"]) == 32


async def test_every_line_has_a_key_of_its_own() -> None:
    keys: set[str] = set()

    async def converse(socket: ServerConnection, before: int) -> None:
        async for text in socket:
            asked = json.loads(text)
            keys.add(asked["idempotencyKey"])
            await socket.send(outcome(asked["requestId"]))

    async with chat_over(converse) as chat:
        await answer(chat, "the same")
        await answer(chat, "the same")
    assert len(keys) == 2


async def test_a_connection_lost_between_two_lines_is_not_noticed() -> None:
    async def converse(socket: ServerConnection, before: int) -> None:
        asked = json.loads(await socket.recv())
        await socket.send(outcome(asked["requestId"]))

    async with chat_over(converse) as chat:
        watching = asyncio.create_task(chat.lost())
        for _ in range(3):
            assert [each for each in await answer(chat) if not isinstance(each, Reconnected)] == []
        assert not watching.done()
        watching.cancel()


async def test_a_server_that_starts_or_stops_is_waited_for() -> None:
    refused = 0

    async def not_yet(connection: ServerConnection, request: Any) -> Any:
        nonlocal refused
        if connections and refused < 3:
            refused += 1
            return connection.respond(503, "")
        return None

    connections = 0

    async def converse(socket: ServerConnection, before: int) -> None:
        nonlocal connections
        connections = before + 1
        asked = json.loads(await socket.recv())
        if before:
            await socket.send(outcome(asked["requestId"]))

    async with chat_over(converse, process_request=not_yet) as chat:
        assert await answer(chat) == [Reconnected()]
    assert (refused, connections) == (3, 2)


async def test_a_server_that_never_stays_is_given_up() -> None:
    async def converse(socket: ServerConnection, before: int) -> None:
        await socket.recv()

    async with chat_over(converse, patience=0.3) as chat:
        with pytest.raises(UnavailableError, match="The server closed the connection"):
            await answer(chat)


async def test_an_abort_is_asked_for_again_over_the_next_connection() -> None:
    aborted: list[str] = []

    async def converse(socket: ServerConnection, before: int) -> None:
        await socket.recv()
        await socket.send(event("1", {"type": "text_delta", "text": "a"}))
        frame = json.loads(await socket.recv())
        aborted.append(frame["type"])
        if before:
            error = {"type": "aborted", "message": "The work was aborted."}
            await socket.send(json.dumps({"version": 1, "type": "error", "requestId": "1", "error": error}))
            await socket.wait_closed()

    async with chat_over(converse) as chat:
        asking = chat.ask("Hello!")
        assert await anext(asking) == TextDelta(text="a")
        await chat.abort()
        with pytest.raises(AbortedError):
            async with asyncio.timeout(10):
                async for _ in asking:
                    pass
    assert aborted == ["abort", "abort"]


async def test_an_abort_that_came_too_late_is_no_error_of_the_next_line() -> None:
    async def converse(socket: ServerConnection, before: int) -> None:
        for request in ("1", "2"):
            await socket.recv()
            error = {"type": "invalid_request", "message": "No.", "meta": {"requestId": "0"}}
            await socket.send(json.dumps({"version": 1, "type": "error", "error": error}))
            await socket.send(outcome(request))
        await socket.wait_closed()

    async with chat_over(converse) as chat:
        assert await answer(chat) == await answer(chat) == []


async def test_a_line_that_is_too_large_is_not_sent_again_and_again() -> None:
    async def converse(socket: ServerConnection, before: int) -> None:
        await socket.recv()

    async with chat_over(converse, max_size=1000) as chat:
        with pytest.raises(TooLargeError):
            await answer(chat, "x" * 2000)


def requested(request: str) -> str:
    call = {"approvalId": "c1", "toolName": "send", "toolCallId": "c1", "args": {}, "expiresAt": ""}
    return event(request, {"type": "approval_requested", **call})


async def test_a_decision_that_nobody_confirmed_is_made_again_over_the_next_connection() -> None:
    heard: list[dict[str, Any]] = []

    async def converse(socket: ServerConnection, before: int) -> None:
        await socket.send(READY)
        await socket.recv()
        await socket.send(requested("1"))
        heard.append(json.loads(await socket.recv()))
        if not before:
            socket.transport.abort()
            return
        await socket.send(
            json.dumps({"type": "decided", "version": 1, "requestId": "2", "approvalId": "c1", "decision": "denied"})
        )
        await socket.send(outcome("1"))
        await socket.wait_closed()

    async with chat_over(converse) as chat, asyncio.timeout(10):
        asked = 0
        async for each in chat.ask("Hello!"):
            if isinstance(each, ApprovalRequested) and not asked:
                asked += 1
                await chat.decide("c1", "deny", "no")
    assert heard[0] == heard[1]
    assert (heard[0]["type"], heard[0]["approvalId"], heard[0]["reason"]) == ("decide", "c1", "no")


async def test_a_decision_that_is_refused_while_an_answer_comes_is_a_warning() -> None:
    async def converse(socket: ServerConnection, before: int) -> None:
        await socket.send(READY)
        await socket.recv()
        await socket.send(requested("1"))
        await socket.recv()
        error = {"type": "approval_decided", "message": "Too late."}
        await socket.send(json.dumps({"type": "error", "version": 1, "requestId": "2", "error": error}))
        await socket.send(outcome("1"))
        await socket.wait_closed()

    async with chat_over(converse) as chat, asyncio.timeout(10):
        seen: list[Event | Reconnected] = []
        async for each in chat.ask("Hello!"):
            seen.append(each)
            if isinstance(each, ApprovalRequested):
                await chat.decide("c1", "approve")
    assert seen[-1] == Log(level="warn", message="Too late.")


async def test_what_waits_is_asked_for_again_when_the_connection_is_lost() -> None:
    async def converse(socket: ServerConnection, before: int) -> None:
        await socket.send(READY)
        asked = json.loads(await socket.recv())
        if not before:
            socket.transport.abort()
            return
        listed = {"id": "c1", "submissionId": "s", "session": "s", "toolName": "send", "toolCallId": "c1", "args": {}}
        approvals = [{**listed, "requestedAt": "", "expiresAt": ""}]
        reply = {"type": "approvals", "version": 1, "requestId": asked["requestId"], "approvals": approvals}
        await socket.send(json.dumps(reply))
        asked = json.loads(await socket.recv())
        error = {"type": "approval_not_found", "message": "Nothing waits."}
        await socket.send(json.dumps({"type": "error", "version": 1, "requestId": asked["requestId"], "error": error}))
        await socket.wait_closed()

    async with chat_over(converse) as chat, asyncio.timeout(10):
        assert await chat.questions() == [Question("c1", "send", {})]
        with pytest.raises(TurnError, match=r"Nothing waits\."):
            await chat.decide("c1", "approve")
