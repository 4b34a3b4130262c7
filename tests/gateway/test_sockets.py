"""Sockets over a real port, on our own protocol."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from flue_actors.definition.guards import CallNext, GuardRequest
from flue_actors.definition.settings import Settings
from flue_actors.memory import memory_store
from tests.gateway.house import House, agent, eventually, serving_house
from tests.helpers.http import connected, exchange, head, prompt

BRIEF = Settings(drain_timeout=0.1, cancel_grace=0.1)


@asynccontextmanager
async def talking(house: House, id: str = "me", **options: Any) -> AsyncGenerator[ClientConnection]:
    """An open socket, its `ready` frame read."""
    async with connect(f"{house.ws}/agents/echo/{id}", **options) as socket:
        assert (await hear(socket))["type"] == "ready"
        yield socket


async def hear(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        return json.loads(await socket.recv())


async def ask(socket: ClientConnection, request_id: str, message: str = "hi", **more: Any) -> None:
    frame = {"version": 1, "type": "prompt", "requestId": request_id, "message": message, **more}
    await socket.send(json.dumps(frame))


async def outcome(socket: ClientConnection, request_id: str) -> dict[str, Any]:
    """The request's result or error, whatever comes before it."""
    while True:
        frame = await hear(socket)
        if frame["type"] in ("result", "error") and frame.get("requestId") == request_id:
            return frame


async def close_code(socket: ClientConnection) -> int | None:
    async with asyncio.timeout(10):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code


async def test_a_prompt_runs_from_started_to_its_result() -> None:
    async with serving_house() as house, talking(house) as socket:
        await ask(socket, "r")
        frames = [await hear(socket)]
        while frames[-1]["type"] != "result":
            frames.append(await hear(socket))
    assert frames[0] == {"version": 1, "type": "started", "requestId": "r"}
    assert [frame["event"]["eventIndex"] for frame in frames[1:-1]] == list(range(len(frames) - 2))
    assert frames[-2]["event"]["type"] == "idle"
    assert frames[-1]["result"]["text"] == "echo: hi (1 messages)"


async def test_ten_prompts_pipelined_are_all_answered_in_order() -> None:
    async with serving_house() as house, talking(house) as socket:
        for number in range(10):
            await ask(socket, str(number))
        texts = [(await outcome(socket, str(number)))["result"]["text"] for number in range(10)]
    assert texts == [f"echo: hi ({2 * number + 1} messages)" for number in range(10)]


async def test_sockets_and_posts_share_one_queue() -> None:
    async with serving_house() as house, talking(house) as socket:
        await ask(socket, "a", "wait 0.1")
        while (await hear(socket))["type"] != "started":
            pass
        reply = await exchange(house.address, prompt("/agents/echo/me"))
        await outcome(socket, "a")
    assert reply.json["result"]["text"] == "echo: hi (3 messages)"


async def test_a_ping_is_answered_while_a_prompt_runs() -> None:
    async with serving_house(settings=BRIEF) as house, talking(house) as socket:
        await ask(socket, "r", "hang")
        while (await hear(socket))["type"] != "started":
            pass
        await socket.send('{"version":1,"type":"ping","requestId":"p"}')
        while (frame := await hear(socket))["type"] == "event":
            pass
        assert frame == {"version": 1, "type": "pong", "requestId": "p"}


@pytest.mark.parametrize(
    ("message", "more", "kind"),
    [
        (" ", {}, "invalid_request"),
        ("hi", {"session": "task:x"}, "invalid_request"),
        ("fail 400", {}, "model_rejected"),
    ],
)
async def test_a_prompt_that_fails_says_so_and_the_socket_stays(message: str, more: dict[str, str], kind: str) -> None:
    async with serving_house() as house, talking(house) as socket:
        await ask(socket, "r", message, **more)
        assert (await outcome(socket, "r"))["error"]["type"] == kind
        await ask(socket, "r")
        assert (await outcome(socket, "r"))["type"] == "result"


async def test_a_busy_instance_can_be_left_alone() -> None:
    async with serving_house(settings=BRIEF) as house, talking(house) as socket:
        await ask(socket, "a", "hang")
        await ask(socket, "b", ifBusy="reject")
        assert (await outcome(socket, "b"))["error"]["type"] == "session_busy"


async def test_more_requests_than_a_socket_may_have_are_refused() -> None:
    async with serving_house(settings=replace(BRIEF, max_in_flight=2)) as house, talking(house) as socket:
        for request_id in "abc":
            await ask(socket, request_id, "hang")
        assert (await outcome(socket, "c"))["error"]["type"] == "queue_full"


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, '{"version":1,"type":"prompt"}', '"\\ud800"'])
async def test_nonsense_is_answered_and_admits_nothing(text: str) -> None:
    store = memory_store()
    async with serving_house(store=store) as house, talking(house) as socket:
        await socket.send(text)
        frame = await hear(socket)
        assert (frame["type"], "requestId" in frame) == ("error", False)
        assert store.statistics().commits == 0
        await ask(socket, "r")
        assert (await outcome(socket, "r"))["type"] == "result"


async def test_a_binary_message_ends_the_socket() -> None:
    async with serving_house() as house, talking(house) as socket:
        await socket.send(b"\0")
        assert (await hear(socket))["error"]["type"] == "invalid_request"
        assert await close_code(socket) == 1003


async def test_a_message_larger_than_a_megabyte_ends_the_socket() -> None:
    async with serving_house() as house:
        async with talking(house) as socket:
            await ask(socket, "r", "x" * 1024 * 1024)
            assert await close_code(socket) == 1009
        assert (await exchange(house.address, prompt("/agents/echo/me"))).status == 200


async def test_a_message_in_fragments_is_one_message() -> None:
    async with serving_house() as house, talking(house) as socket:
        await socket.send(['{"version":1,', '"type":"ping"', "", "}"])
        assert (await hear(socket))["type"] == "pong"


async def test_a_prompt_in_front_of_a_broken_frame_still_counts() -> None:
    async with serving_house() as house:
        async with connected(house.address) as connection:
            await _raw_handshake(connection)
            text = b'{"version":1,"type":"prompt","requestId":"r","message":"hi"}'
            await connection.send(b"\x81" + bytes([0x80 | len(text)]) + b"\0\0\0\0" + text + b"\xff" * 16)
            assert b"\x03\xea" in await connection.rest()  # 1002
        reply = await exchange(house.address, prompt("/agents/echo/me"))
    assert reply.json["result"]["text"] == "echo: hi (3 messages)"


async def test_a_message_and_a_close_in_one_read_end_in_a_close() -> None:
    async with serving_house() as house, connected(house.address) as connection:
        await _raw_handshake(connection)
        ping = b'{"version":1,"type":"ping"}'
        goodbye = b"\x88\x82\0\0\0\0\x03\xe8"
        await connection.send(b"\x81" + bytes([0x80 | len(ping)]) + b"\0\0\0\0" + ping + goodbye)
        assert (await connection.rest()).endswith(b"\x88\x02\x03\xe8")


async def test_text_that_is_not_utf8_ends_the_socket() -> None:
    async with serving_house() as house, connected(house.address) as connection:
        await _raw_handshake(connection)
        await connection.send(b"\x81\x82\0\0\0\0\xff\xfe")
        assert b"\x03\xef" in await connection.rest()  # 1007


async def _raw_handshake(connection: Any) -> None:
    upgrade = ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"]
    await connection.send(head("GET", "/agents/echo/me", *upgrade, "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="))
    assert (await connection.head())[0] == 101


async def test_who_closes_the_socket_stops_watching_and_not_the_work() -> None:
    async with serving_house() as house:
        async with talking(house) as socket:
            await ask(socket, "r", "wait 0.3")
            while (await hear(socket))["type"] != "started":
                pass
        await eventually(lambda: not house.app.gateway.sockets)
        assert house.runtime.snapshot().pending == 1
        reply = await exchange(house.address, prompt("/agents/echo/me"))
    assert reply.json["result"]["text"] == "echo: hi (3 messages)"


async def test_a_prompt_sent_with_the_last_breath_is_worked_on() -> None:
    async with serving_house() as house:
        async with talking(house) as socket:
            await ask(socket, "r")
        await eventually(lambda: not house.app.gateway.sockets)
        reply = await exchange(house.address, prompt("/agents/echo/me"))
    assert reply.json["result"]["text"] == "echo: hi (3 messages)"


@pytest.mark.parametrize("path", ["/agents/nobody/me", "/agents/quiet/me", "/agents/echo/%20", "/agents/echo/%zz"])
async def test_a_handshake_where_nothing_is(path: str) -> None:
    async with serving_house(agent("echo"), agent("quiet", websocket=None)) as house:
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(house.ws + path):
                pass
    response = refusal.value.response
    assert (response.status_code, response.headers["content-type"]) == (404, "application/json")
    assert json.loads(response.body or b"")["error"]["type"] == "route_not_found"


@pytest.mark.parametrize(("origin", "status"), [("https://evil.test", 403), (None, 101), ("http://{host}", 101)])
async def test_a_page_of_another_site_is_refused(origin: str | None, status: int) -> None:
    async with serving_house() as house:
        where = origin.format(host=f"{house.address[0]}:{house.address[1]}") if origin else None
        try:
            async with connect(f"{house.ws}/agents/echo/me", origin=where):  # type: ignore[arg-type]
                got = 101
        except InvalidStatus as refusal:
            got = refusal.response.status_code
    assert got == status


async def test_ids_on_a_socket_are_exact() -> None:
    async with serving_house() as house:
        async with connect(f"{house.ws}/agents/echo/a%2Fstatus") as socket:
            assert (await hear(socket))["instanceId"] == "a/status"
        with pytest.raises(InvalidStatus):
            await connect(f"{house.ws}/agents/echo/a/status")


async def test_compression_is_not_offered() -> None:
    async with serving_house() as house, talking(house) as socket:
        assert socket.protocol.extensions == []


async def test_credentials_that_run_out_close_the_socket() -> None:
    async def brief(request: GuardRequest, call_next: CallNext) -> object:
        request.expires_at = time.time() + 0.2
        return await call_next()

    async with serving_house(agent("echo", websocket=brief), settings=Settings(head_timeout=1.0)) as house:
        async with talking(house) as socket:
            assert await close_code(socket) == 1008


async def test_a_session_is_forgotten_with_its_socket() -> None:
    async with serving_house() as house:
        async with talking(house) as socket:
            await ask(socket, "r")
            await outcome(socket, "r")
            assert len(house.app.gateway.sockets) == 1
            assert not house.server.server_state.tasks
        await eventually(lambda: not house.app.gateway.sockets)
