"""Conversations over HTTP: listed, read page by page, removed."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from flue_actors.definition.settings import Settings
from flue_actors.memory import memory_store
from tests.gateway.house import House, eventually, serving_house
from tests.helpers.http import Reply, exchange, prompt, request

HERE = "/agents/echo/me"
BRIEF = Settings(drain_timeout=0.1, cancel_grace=0.1)


async def read(house: House, target: str) -> Reply:
    return await exchange(house.address, request("GET", HERE + target))


async def remove(house: House, target: str) -> Reply:
    return await exchange(house.address, request("DELETE", HERE + target))


async def talk(house: House, *messages: str, session: str = "default") -> None:
    for message in messages:
        assert (await exchange(house.address, prompt(HERE, message, session=session))).status == 200


def texts(page: Reply) -> list[str]:
    found: list[str] = []
    for entry in page.json["entries"]:
        content: Any = entry["message"]["content"]
        found.append(content if isinstance(content, str) else content[0]["text"])
    return found


async def test_an_instance_lists_its_sessions_in_order_of_creation() -> None:
    async with serving_house() as house:
        before = await read(house, "/sessions")
        await talk(house, "1", session="b")
        await talk(house, "2", session="a")
        await talk(house, "3", session="b")
        after = await read(house, "/sessions")
    assert before.json == {"sessions": []}
    assert [each["name"] for each in after.json["sessions"]] == ["b", "a"]
    assert set(after.json["sessions"][0]) == {"name", "createdAt", "offset"}


async def test_a_session_is_read_in_order() -> None:
    async with serving_house() as house:
        await talk(house, "1", "2")
        page = await read(house, "/sessions/default")
    assert page.status == 200
    assert texts(page) == ["1", "echo: 1 (1 messages)", "2", "echo: 2 (3 messages)"]
    assert "next" not in page.json
    assert set(page.json["entries"][0]) == {"offset", "at", "message", "submissionId"}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
async def test_pages_forwards_are_the_whole_once(limit: int) -> None:
    async with serving_house() as house:
        await talk(house, "1", "2", "3")
        whole = texts(await read(house, "/sessions/default"))
        pages = [await read(house, f"/sessions/default?limit={limit}")]
        while "next" in pages[-1].json:
            pages.append(await read(house, f"/sessions/default?limit={limit}&after={pages[-1].json['next']}"))
    assert len(whole) == 6
    assert [text for page in pages for text in texts(page)] == whole
    assert [len(texts(page)) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert texts(pages[-1])


@pytest.mark.parametrize("limit", [1, 2, 4, 6])
async def test_pages_backwards_are_the_whole_once(limit: int) -> None:
    async with serving_house() as house:
        await talk(house, "1", "2", "3")
        whole = texts(await read(house, "/sessions/default"))
        pages = [await read(house, f"/sessions/default?limit={limit}&before=999999-0")]
        while "next" in pages[-1].json:
            pages.append(await read(house, f"/sessions/default?limit={limit}&before={pages[-1].json['next']}"))
    assert [text for page in reversed(pages) for text in texts(page)] == whole
    assert texts(pages[-1])


async def test_both_ends_can_be_named() -> None:
    async with serving_house() as house:
        await talk(house, "1", "2", "3")
        entries = (await read(house, "/sessions/default")).json["entries"]
        page = await read(house, f"/sessions/default?after={entries[0]['offset']}&before={entries[4]['offset']}")
    assert texts(page) == ["echo: 1 (1 messages)", "2", "echo: 2 (3 messages)"]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=", "after=7", "before=x-y", "after="])
async def test_an_impossible_page_is_refused(query: str) -> None:
    async with serving_house() as house:
        await talk(house, "1")
        page = await read(house, f"/sessions/default?{query}")
    assert (page.status, page.error) == (400, "invalid_request")


async def test_a_session_that_was_never_sent_anything_does_not_exist() -> None:
    async with serving_house() as house:
        await talk(house, "1")
        unknown = await read(house, "/sessions/other")
        elsewhere = await exchange(house.address, request("GET", "/agents/echo/you/sessions/default"))
    assert (unknown.status, unknown.error) == (404, "session_not_found")
    assert (elsewhere.status, elsewhere.error) == (404, "session_not_found")


async def test_a_page_behind_the_end_is_empty_and_not_missing() -> None:
    async with serving_house() as house:
        await talk(house, "1")
        page = await read(house, "/sessions/default?after=1000-0")
    assert (page.status, page.json) == (200, {"entries": []})


@pytest.mark.parametrize("name", ["a/b", "..", "é", "a b", "%", "?", "sessions", "+"])
async def test_session_names_are_exact(name: str) -> None:
    async with serving_house() as house:
        await talk(house, "hi", session=name)
        page = await read(house, "/sessions/" + quote(name, safe=""))
        gone = await remove(house, "/sessions/" + quote(name, safe=""))
        left = await read(house, "/sessions")
    assert texts(page)[0] == "hi"
    assert (gone.status, left.json) == (204, {"sessions": []})


@pytest.mark.parametrize("name", ["%zz", "%ff", "%20", "x" * 513])
async def test_an_impossible_session_name_is_refused(name: str) -> None:
    async with serving_house() as house:
        replies = [await read(house, f"/sessions/{name}"), await remove(house, f"/sessions/{name}")]
    assert [(each.status, each.error) for each in replies] == [(400, "invalid_request")] * 2


async def test_a_removed_session_is_gone_and_the_others_stay() -> None:
    async with serving_house() as house:
        await talk(house, "1", session="a")
        await talk(house, "2", session="b")
        removed = await remove(house, "/sessions/a")
        again = await remove(house, "/sessions/a")
        missing = await read(house, "/sessions/a")
        await talk(house, "3", session="b")
        kept = await read(house, "/sessions/b")
        await talk(house, "anew", session="a")
        anew = await read(house, "/sessions/a")
    assert [(each.status, each.body) for each in (removed, again)] == [(204, b"")] * 2
    assert missing.error == "session_not_found"
    assert texts(kept)[-1] == "echo: 3 (3 messages)"
    assert texts(anew) == ["anew", "echo: anew (1 messages)"]


@pytest.mark.parametrize("target", ["/sessions/default", ""])
async def test_what_runs_is_aborted_before_it_is_removed(target: str) -> None:
    async with serving_house(settings=BRIEF) as house:
        accepted = await exchange(house.address, prompt(HERE, "hang", "prefer: respond-async"))
        await eventually(lambda: house.runtime.snapshot().actors.running)
        removed = await remove(house, target)
        await eventually(lambda: not house.runtime.snapshot().pending)
        submission = await exchange(house.address, request("GET", accepted.headers["location"]))
        sessions = await read(house, "/sessions")
        await talk(house, "anew")
    assert removed.status == 204
    assert (submission.status, submission.error) == (404, "submission_not_found")
    assert sessions.json == {"sessions": []}


async def test_an_erased_instance_leaves_nothing_and_the_others_stay() -> None:
    store = memory_store()
    async with serving_house(store=store) as house:
        await talk(house, "1", session="a")
        await talk(house, "2", session="b")
        await exchange(house.address, prompt("/agents/echo/you", "mine"))
        erased = await remove(house, "")
        again = await remove(house, "")
        sessions = await read(house, "/sessions")
        yours = await exchange(house.address, request("GET", "/agents/echo/you/sessions/default"))
    assert [(each.status, each.body) for each in (erased, again)] == [(204, b"")] * 2
    assert sessions.json == {"sessions": []}
    assert texts(yours)[0] == "mine"


async def test_an_id_that_looks_like_a_route_is_an_id() -> None:
    async with serving_house() as house:
        await exchange(house.address, prompt("/agents/echo/me%2Fsessions", "mine"))
        mine = await exchange(house.address, request("GET", "/agents/echo/me%2Fsessions/sessions/default"))
        other = await exchange(house.address, request("GET", "/agents/echo/me/sessions"))
    assert texts(mine)[0] == "mine"
    assert json.loads(other.body) == {"sessions": []}
