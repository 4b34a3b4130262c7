"""Pictures, files and wanted shapes that come with a prompt, over HTTP and sockets."""

import asyncio
import hashlib
import json
import os
import tracemalloc
from typing import Any

import pytest
from websockets.asyncio.client import connect

from flue_actors.definition.attaching import MOST
from flue_actors.messages import ToolResultMessage
from flue_actors.models.protocol import ModelRequest
from flue_actors.testing import calls
from tests.gateway.abilities import PDF, PNG, file, get, image, looker, shaper
from tests.gateway.house import House, eventually, serving_house
from tests.gateway.test_prompting import BRIEF, SSE, parse
from tests.gateway.test_sockets import ask, outcome
from tests.helpers.http import Reply, connected, exchange, prompt

HERE = "/agents/looker/me"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


async def send(house: House, *headers: str, **fields: Any) -> Reply:
    return await exchange(house.address, prompt(HERE, "what is this?", *headers, **fields))


async def test_a_picture_and_a_file_reach_the_model() -> None:
    async with serving_house(looker()) as house:
        reply = await send(house, images=[image()], files=[file()])
    assert (reply.status, reply.json["result"]["text"]) == (200, f"seen: [{len(PNG)}, {len(PDF)}]")


async def test_a_picture_over_a_socket_reaches_the_model() -> None:
    async with serving_house(looker()) as house, connect(house.ws + HERE) as socket:
        await ask(socket, "r", images=[image()], files=[file()])
        assert (await outcome(socket, "r"))["result"]["text"] == f"seen: [{len(PNG)}, {len(PDF)}]"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"images": [{**image(), "data": "%%%%"}]}, "base64"),
        ({"images": [{**image(), "data": 5}]}, "images[0].data"),
        ({"images": [image(b"no picture")]}, "not the image/png it is said to be"),
        ({"images": [image(mime_type="image/tiff")]}, "image/png, image/jpeg"),
        ({"images": [image(b"")]}, "empty"),
        ({"images": [{**image(), "type": "file"}]}, "images[0].type"),
        ({"images": [{"type": "image", "mimeType": "image/png"}]}, "`data`"),
        ({"images": image()}, "array"),
        ({"images": [image()] * (MOST + 1)}, f"<= {MOST}"),
        ({"images": [image()] * MOST, "files": [file()]}, f"at most {MOST}"),
        ({"files": [file(mime_type="application/zip")]}, "A file is one of"),
        ({"files": [file(name=" ")]}, "name"),
        ({"files": [file(b"\xff", "text/plain")]}, "UTF-8"),
        ({"result": True}, "result"),
        ({"result": {"type": "strin"}}, "no JSON schema"),
        ({"result": {"description": "x" * 20_000}}, "larger than 16 KiB"),
        ({"result": {"type": "string", "pattern": "(a+)+$"}}, "pattern"),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_the_reason(fields: dict[str, Any], why: str) -> None:
    async with serving_house(looker()) as house, connect(house.ws + HERE) as socket:
        reply = await send(house, **fields)
        await ask(socket, "r", **fields)
        refused = await socket.recv() and json.loads(await socket.recv())
        sessions = await get(house, HERE + "/sessions")
    assert (reply.status, reply.error) == (400, "invalid_request")
    assert why in reply.json["error"]["message"]
    assert refused["error"] == reply.json["error"]
    assert sessions.json == {"sessions": []}


async def test_a_message_with_pictures_may_be_sent_twice_and_is_accepted_once() -> None:
    key = "idempotency-key: k"
    async with serving_house(looker()) as house:
        first = await send(house, key, images=[image()])
        again = await send(house, key, images=[image()])
        other = await send(house, key, images=[image(PNG + b"!")])
        none = await send(house, key)
        page = await get(house, HERE + "/sessions/default")
    assert again.body == first.body
    assert [(each.status, each.error) for each in (other, none)] == [(409, "submission_conflict")] * 2
    assert len(page.json["entries"]) == 2


async def test_history_and_events_name_a_picture_and_never_hold_its_bytes() -> None:
    async with serving_house(looker()) as house:
        reply = await exchange(house.address, prompt(HERE, "draw", SSE, images=[image()], files=[file()]))
        page = await get(house, HERE + "/sessions/default")
        replayed = await exchange(house.address, prompt(HERE, "and now?", SSE))
    events = [data for _, _, data in parse(reply.body)]
    drawn = next(each for each in events if each["type"] == "tool_call")
    assert drawn["result"]["content"][1] == {
        "type": "image",
        "attachment": hashlib.sha256(b"GIF89a drawn").hexdigest(),
        "mimeType": "image/gif",
        "size": 12,
    }
    assert page.json["entries"][0]["message"]["content"][1:] == [
        {"type": "image", "attachment": hashlib.sha256(PNG).hexdigest(), "mimeType": "image/png", "size": len(PNG)},
        {"type": "file", "attachment": hashlib.sha256(PDF).hexdigest(), "mimeType": "application/pdf", "size": len(PDF), "name": "report.pdf"},
    ]  # fmt: skip
    everything = reply.body + page.body + replayed.body
    assert not any(each["data"].encode()[:40] in everything for each in (image(), file()))


async def test_the_answer_has_the_shape_that_was_asked_for() -> None:
    def answer(request: ModelRequest) -> Any:
        return "done" if isinstance(request.messages[-1], ToolResultMessage) else calls("finish", city="Oslo")

    async with serving_house(shaper(answer)) as house, connect(house.ws + "/agents/shaper/me") as socket:
        posted = await exchange(house.address, prompt("/agents/shaper/me", result=CITY))
        streamed = await exchange(house.address, prompt("/agents/shaper/me", "hi", SSE, result=CITY))
        await ask(socket, "r", result=CITY)
        heard = await outcome(socket, "r")
    assert posted.json["result"]["data"] == {"city": "Oslo"}
    assert parse(streamed.body)[-2][2]["result"]["data"] == {"city": "Oslo"}
    assert heard["result"]["data"] == {"city": "Oslo"}


async def test_a_model_that_gives_up_on_the_shape_answers_422() -> None:
    async with serving_house(shaper(lambda _: calls("give_up", reason="no city there"))) as house:
        reply = await exchange(house.address, prompt("/agents/shaper/me", result=CITY))
    assert (reply.status, reply.error) == (422, "result_unavailable")
    assert "no city there" in str(reply.json["error"]["meta"])


async def test_the_largest_picture_that_fits_a_body_is_taken_and_a_larger_one_is_not() -> None:
    async with serving_house(looker()) as house:
        taken = await send(house, images=[image(PNG + bytes(3_145_000))])
        refused = await send(house, images=[image(PNG + bytes(3_200_000))])
    assert (taken.status, taken.json["result"]["text"]) == (200, f"seen: [{len(PNG) + 3_145_000}]")
    assert (refused.status, refused.error) == (413, "payload_too_large")


@pytest.mark.parametrize("transport", ["json", "stream", "socket"])
async def test_a_picture_is_held_once_while_its_message_is_worked_on(transport: str) -> None:
    picture = image(PNG + os.urandom(600_000))
    hanging = shaper(lambda _: asyncio.get_running_loop().create_future())
    target = "/agents/shaper/me"
    async with (
        serving_house(hanging, settings=BRIEF) as house,
        connect(house.ws + target) as socket,
        connected(house.address) as connection,
    ):
        raw = prompt(target, "hi", SSE if transport == "stream" else "accept: */*", images=[picture])
        tracemalloc.start()
        try:
            if transport == "socket":
                await ask(socket, "r", images=[picture])
            else:
                await connection.send(raw)
            await eventually(lambda: house.runtime.snapshot().actors.running)
            await eventually(lambda: tracemalloc.get_traced_memory()[0] < 1_000_000)
        finally:
            tracemalloc.stop()
