"""Pictures and files, read back."""

import hashlib

import pytest

from flue_actors.definition.guards import bearer
from flue_actors.memory import memory_store
from tests.gateway.abilities import PNG, file, get, image, looker
from tests.gateway.house import House, serving_house
from tests.helpers.http import Reply, exchange, prompt, request

HERE = "/agents/looker/me"


def at(data: bytes) -> str:
    return f"{HERE}/attachments/{hashlib.sha256(data).hexdigest()}"


async def sent(house: House, *headers: str) -> Reply:
    return await exchange(house.address, prompt(HERE, "hi", *headers, images=[image()], files=[file()]))


async def test_a_picture_is_shown_as_what_it_is_and_kept_for_ever() -> None:
    async with serving_house(looker()) as house:
        await sent(house)
        reply = await get(house, at(PNG))
    assert (reply.status, reply.body) == (200, PNG)
    tag = hashlib.sha256(PNG).hexdigest()
    assert {name: reply.headers.get(name) for name in EXPECTED} == {**EXPECTED, "etag": f'"{tag}"'}


EXPECTED = {
    "content-type": "image/png",
    "content-disposition": "inline",
    "cache-control": "private, immutable, max-age=31536000",
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
    "etag": "",
}


async def test_a_file_is_to_be_saved_and_not_shown() -> None:
    page = b"<script>alert(1)</script>"
    async with serving_house(looker()) as house:
        await exchange(house.address, prompt(HERE, files=[file(page, "text/html", "a.html")]))
        reply = await get(house, at(page))
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, page, "text/html")
    assert reply.headers["content-disposition"] == "attachment"


async def test_what_a_tool_drew_is_there_too() -> None:
    async with serving_house(looker()) as house:
        await exchange(house.address, prompt(HERE, "draw"))
        reply = await get(house, at(b"GIF89a drawn"))
    assert (reply.status, reply.headers["content-type"]) == (200, "image/gif")


@pytest.mark.parametrize("spelling", ['"{}"', 'W/"{}"', '"other", "{}"', "*"])
async def test_who_has_it_already_is_told_so(spelling: str) -> None:
    async with serving_house(looker()) as house:
        await sent(house)
        header = "if-none-match: " + spelling.replace("{}", hashlib.sha256(PNG).hexdigest())
        reply = await get(house, at(PNG), header)
        other = await get(house, at(PNG), 'if-none-match: "other"')
        missing = await get(house, at(b"missing"), header)
    assert (reply.status, reply.body) == (304, b"")
    assert reply.headers["etag"]
    assert (other.status, missing.status) == (200, 404)


@pytest.mark.parametrize("id", ["missing", "..%2F..%2Fetc%2Fpasswd", "%00", "%F0%9F%99%82", "x" * 3000])
async def test_what_is_not_there_is_not_found(id: str) -> None:
    async with serving_house(looker()) as house:
        await sent(house)
        reply = await get(house, f"{HERE}/attachments/{id}")
    assert (reply.status, reply.error) == (404, "attachment_not_found")


async def test_another_instance_has_it_not() -> None:
    async with serving_house(looker()) as house:
        await sent(house)
        reply = await get(house, at(PNG).replace("/me/", "/you/"))
    assert (reply.status, reply.error) == (404, "attachment_not_found")


async def test_it_is_behind_the_guard() -> None:
    async with serving_house(looker(bearer({"t": "alice"}))) as house:
        await sent(house, "authorization: Bearer t")
        refused = await get(house, at(PNG))
        shown = await get(house, at(PNG), "authorization: Bearer t")
    assert (refused.status, shown.status) == (401, 200)


async def test_it_is_gone_with_its_instance() -> None:
    async with serving_house(looker()) as house:
        await sent(house)
        await exchange(house.address, request("DELETE", HERE))
        reply = await get(house, at(PNG))
    assert reply.status == 404


async def test_it_outlives_the_server() -> None:
    store = memory_store()
    async with serving_house(looker(), store=store) as house:
        await sent(house)
    async with serving_house(looker(), store=store) as house:
        reply = await get(house, at(PNG))
    assert (reply.status, reply.body) == (200, PNG)
