"""A session's events over real sockets, from any offset on: ``GET .../stream`` and the socket's ``stream`` frame."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from flue_actors.definition.settings import Settings
from flue_actors.gateway import wire
from flue_actors.memory import memory_store
from tests.gateway.house import House, agent, eventually, serving_house
from tests.helpers.http import Connection, connected, exchange, prompt, request

HERE = "/agents/echo/me"
BRIEF = Settings(drain_timeout=0.1, cancel_grace=0.1)
Event = dict[str, Any]


class Reading:
    """An open stream: its events, and the ids they had as server-sent events."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.events: list[Event] = []
        self.ids: list[str] = []
        self.beats = 0

    async def until(self, kind: str, times: int = 1) -> list[Event]:
        async with asyncio.timeout(10):
            while sum(event["type"] == kind for event in self.events) < times:
                for line in (await self._connection.chunk()).decode().splitlines():
                    if line.startswith("id: "):
                        self.ids.append(line.removeprefix("id: "))
                    elif line.startswith("data: "):
                        self.events.append(json.loads(line.removeprefix("data: ")))
                    elif line.startswith(":"):
                        self.beats += 1
        return self.events

    @property
    def offsets(self) -> list[str]:
        return [event["offset"] for event in self.events]


@asynccontextmanager
async def following(house: House, query: str = "", *headers: str) -> AsyncGenerator[Reading]:
    async with connected(house.address) as connection:
        await connection.send(request("GET", f"{HERE}/stream{query}", b"", *headers))
        status, answered = await connection.head()
        assert (status, answered["content-type"]) == (200, "text/event-stream")
        yield Reading(connection)


async def say(house: House, message: str = "hi") -> None:
    assert (await exchange(house.address, prompt(HERE, message))).status == 200


async def test_the_beginning_of_a_session_is_at_offset_zero() -> None:
    async with serving_house() as house:
        await say(house)
        async with following(house, "?offset=0-0") as reading:
            events = await reading.until("idle")
    assert [event["type"] for event in events] == ["message_end", "message_end", "operation", "idle"]
    assert events[0]["message"]["role"] == "user"
    assert events[1]["message"]["content"] == [{"type": "text", "text": "echo: hi (1 messages)"}]
    assert reading.ids == reading.offsets == ["1-0", "2-0", "3-0", "3-1"]


async def test_without_an_offset_it_begins_now() -> None:
    async with serving_house() as house:
        await say(house, "before")
        async with following(house) as reading:
            await say(house, "after")
            events = await reading.until("idle")
    texts = [event["message"]["content"][0]["text"] for event in events if event["type"] == "message_end"]
    assert texts == ["after", "echo: after (3 messages)"]


async def test_a_browser_that_comes_again_gets_exactly_the_rest() -> None:
    async with serving_house() as house, following(house, "?offset=0-0") as reading:
        await say(house)
        await reading.until("idle")
        for place, offset in enumerate(reading.ids[:-1], start=1):
            async with following(house, "?offset=0-0", f"last-event-id: {offset}") as again:
                await again.until("idle")
            assert again.ids == reading.ids[place:]


async def test_after_a_restart_the_rest_is_what_was_stored() -> None:
    store = memory_store()
    async with serving_house(store=store) as house:
        await say(house)
    async with serving_house(store=store) as house, following(house, "", "last-event-id: 1-7") as reading:
        await reading.until("idle")
    assert reading.ids == ["2-0", "3-0", "3-1"]


@pytest.mark.parametrize("offset", ["12", "x", "1-", "-1", "1-1-1", "9-0", "%D9%A1-0"])
async def test_what_is_no_offset_of_this_session_is_refused(offset: str) -> None:
    async with serving_house() as house:
        await say(house)
        answer = await exchange(house.address, request("GET", f"{HERE}/stream?offset={offset}"))
    assert (answer.status, answer.error) == (400, "invalid_request")


async def test_a_reader_who_joins_in_the_middle_of_a_reply_misses_no_text() -> None:
    async with serving_house(agent("echo", model="scripted/paced?deltas=40&rate=100&size=5")) as house:
        async with following(house) as first:
            asking = asyncio.create_task(say(house))
            await first.until("text_delta", 5)
            async with following(house) as second:
                events = await second.until("idle")
        await asking
    text = ""
    for event in events:
        if event["type"] == "message_snapshot":
            text = event["message"]["content"][0]["text"]
        elif event["type"] == "text_delta":
            text += event["text"]
    (said,) = [event["message"]["content"][0]["text"] for event in events if event["type"] == "message_end"]
    assert events[0]["type"] == "message_snapshot"
    assert text == said


async def test_silence_has_a_heartbeat() -> None:
    async with serving_house(settings=Settings(heartbeat=0.05)) as house, following(house) as reading:
        asyncio.get_running_loop().call_later(0.3, lambda: asyncio.ensure_future(say(house)))
        await reading.until("idle")
    assert reading.beats >= 3


async def test_who_follows_a_server_that_stops_is_told_where_to_go_on() -> None:
    store = memory_store()
    async with serving_house(store=store) as house:
        await say(house)
        async with following(house, "?offset=0-0") as reading:
            await reading.until("idle")
            house.server.should_exit = True
            last = (await reading.until("error"))[-1]
    assert last["error"]["type"] == "draining"
    assert last["error"]["meta"]["offset"] == "3-1"


async def test_a_removed_conversation_ends_its_streams() -> None:
    async with serving_house() as house:
        await say(house)
        async with connected(house.address) as connection:
            await connection.send(request("GET", f"{HERE}/stream?offset=0-0"))
            assert (await connection.head())[0] == 200
            assert (await exchange(house.address, request("DELETE", HERE))).status == 204
            async with asyncio.timeout(10):
                chunks = await connection.chunks()
    assert b'"type":"idle"' in b"".join(chunks)


async def test_an_event_is_encoded_once_however_many_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    encode = wire.encode_shown

    def counted(shown: Any) -> bytes:
        if shown.encoded is None:
            made.append(shown)
        return encode(shown)

    monkeypatch.setattr("flue_actors.gateway.sse.encode_shown", counted)
    async with serving_house() as house, following(house) as one, following(house) as other:
        await say(house)
        for reading in (one, other):
            await reading.until("idle")
        live = [event for event in one.events if not event["offset"].endswith("1-0")]
    assert len(made) < 2 * len(live)


# -- the socket's stream frame ------------------------------------------------------------------------------------------


@asynccontextmanager
async def talking(house: House) -> AsyncGenerator[ClientConnection]:
    async with connect(f"{house.ws}{HERE}") as socket:
        await hear(socket)
        yield socket


async def hear(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        return json.loads(await socket.recv())


async def send(socket: ClientConnection, kind: str, request_id: str, **more: Any) -> None:
    await socket.send(json.dumps({"version": 1, "type": kind, "requestId": request_id, **more}))


async def frames_until(socket: ClientConnection, last: str) -> list[dict[str, Any]]:
    """Frames up to an event or a frame of this type."""
    frames: list[dict[str, Any]] = []
    while not frames or last not in (frames[-1]["type"], frames[-1].get("event", {}).get("type")):
        frames.append(await hear(socket))
    return frames


async def test_a_socket_streams_until_it_is_told_to_stop() -> None:
    async with serving_house() as house, talking(house) as socket:
        await say(house)
        await send(socket, "stream", "s", offset="0-0")
        frames = await frames_until(socket, "idle")
        await send(socket, "stop", "s")
        assert (await hear(socket)) == {"version": 1, "type": "stopped", "requestId": "s"}
    assert {frame["requestId"] for frame in frames} == {"s"}
    assert [frame["event"]["offset"] for frame in frames] == ["1-0", "2-0", "3-0", "3-1"]


async def test_a_socket_resumes_behind_the_offset_it_names() -> None:
    async with serving_house() as house, talking(house) as socket:
        await say(house)
        await send(socket, "stream", "s", offset="2-0")
        frames = await frames_until(socket, "idle")
    assert [frame["event"]["offset"] for frame in frames] == ["3-0", "3-1"]


async def test_a_stream_counts_as_a_request_and_has_an_id_of_its_own() -> None:
    async with serving_house(settings=Settings(max_in_flight=1)) as house, talking(house) as socket:
        await send(socket, "stream", "s")
        await send(socket, "prompt", "p", message="hi")
        assert (await hear(socket))["error"]["type"] == "queue_full"
        await send(socket, "stream", "s")
        assert (await hear(socket))["error"]["type"] == "invalid_request"
        await send(socket, "stop", "nobody")
        assert (await hear(socket))["error"]["type"] == "invalid_request"


async def test_a_stream_from_no_offset_is_refused_and_forgotten() -> None:
    async with serving_house() as house, talking(house) as socket:
        for _ in range(2):
            await send(socket, "stream", "s", offset="12")
            refused = await hear(socket)
            assert (refused["requestId"], refused["error"]["type"]) == ("s", "invalid_request")


async def test_a_stream_holds_up_no_server_that_stops() -> None:
    async with serving_house(settings=Settings(drain_timeout=60)) as house, talking(house) as socket:
        await say(house)
        await send(socket, "stream", "s", offset="0-0")
        await frames_until(socket, "idle")
        house.server.should_exit = True
        last = await hear(socket)
    assert (last["type"], last["error"]["type"], last["error"]["meta"]["offset"]) == ("error", "draining", "3-1")


async def test_a_lost_socket_follows_nothing_any_more() -> None:
    async with serving_house() as house:
        async with talking(house) as socket:
            await send(socket, "stream", "s")
            await say(house)
            await frames_until(socket, "idle")
        await eventually(lambda: house.runtime.live is not None and not house.app.gateway.sockets)
        await say(house)
        assert house.runtime.snapshot().instances == 0
