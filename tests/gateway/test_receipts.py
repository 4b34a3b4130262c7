"""Accepted now, read later: ``Prefer: respond-async`` and the submission's own route."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import falcon.asgi
import pytest

from flue_actors.definition.settings import Settings
from flue_actors.gateway.app import mount
from flue_actors.memory import memory_store
from tests.gateway.house import agent, eventually, serving_house
from tests.helpers.http import Address, Reply, connected, exchange, prompt, request

HERE = "/agents/echo/me"
ASYNC = "prefer: respond-async"
BRIEF = Settings(drain_timeout=0.1, cancel_grace=0.1)


async def receipt(address: Address, message: str = "hi", here: str = HERE, **fields: object) -> Reply:
    return await exchange(address, prompt(here, message, ASYNC, **fields))


async def read(address: Address, target: str) -> Reply:
    return await exchange(address, request("GET", target))


async def test_a_receipt_says_where_the_outcome_and_the_events_are() -> None:
    async with serving_house() as house:
        accepted = await receipt(house.address, session="a/b")
        body = accepted.json
        found = await read(house.address, accepted.headers["location"] + "?wait=10")
    assert accepted.status == 202
    assert accepted.headers["preference-applied"] == "respond-async"
    assert accepted.headers["location"] == f"{HERE}/submissions/{body['submissionId']}"
    url = urlsplit(str(body["streamUrl"]))
    assert url.path == f"{HERE}/stream"
    assert parse_qs(url.query) == {"session": ["a/b"], "offset": [body["offset"]]}
    assert "session=a%2Fb" in url.query
    assert found.json["submissionId"] == body["submissionId"]
    assert found.json["result"]["text"] == "echo: hi (1 messages)"


async def events_of(address: Address, target: str, submission_id: str) -> list[dict[str, Any]]:
    """The submission's events in this stream, until its last one. Those of messages before it may come first."""
    found: list[dict[str, Any]] = []
    async with connected(address) as connection:
        await connection.send(request("GET", target))
        assert (await connection.head())[0] == 200
        while not found or found[-1]["type"] != "idle":
            lines = (await connection.chunk()).decode().splitlines()
            events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
            found += [event for event in events if event.get("submissionId") == submission_id]
    return found


@pytest.mark.parametrize("late", [True, False])
async def test_the_events_of_a_receipt_are_behind_its_offset(late: bool) -> None:
    async with serving_house() as house:
        await exchange(house.address, prompt(HERE, "before", session="a/b"))
        accepted = await receipt(house.address, "wait 0.1", session="a/b")
        if late:
            await read(house.address, accepted.headers["location"] + "?wait=10")
        events = await events_of(house.address, accepted.json["streamUrl"], accepted.json["submissionId"])
    messages = [each["message"] for each in events if each["type"] == "message_end"]
    assert messages[-1]["content"][0]["text"] == "echo: wait 0.1 (3 messages)"


async def test_a_receipt_comes_before_the_work_is_done() -> None:
    async with serving_house(settings=BRIEF) as house:
        accepted = await receipt(house.address, "hang")
        found = await read(house.address, accepted.headers["location"])
    assert found.json["status"] in ("queued", "running")
    assert "outcome" not in found.json


async def test_a_receipt_is_preferred_to_a_stream() -> None:
    async with serving_house() as house:
        reply = await exchange(house.address, prompt(HERE, "hi", ASYNC, "accept: text/event-stream"))
    assert (reply.status, reply.headers["content-type"]) == (202, "application/json")


@pytest.mark.parametrize("id", ["a%2Fstatus", "%2E%2E", "a%20b", "%C3%A9", "a%3Fb%23c", "%25"])
async def test_the_addresses_of_a_receipt_name_the_same_instance(id: str) -> None:
    app: falcon.asgi.App[Any, Any] = falcon.asgi.App()
    mount(app, "/deep/er")
    async with serving_house(app=app) as house:
        accepted = await receipt(house.address, here=f"/deep/er/agents/echo/{id}")
        assert urlsplit(str(accepted.json["streamUrl"])).path.startswith("/deep/er/agents/echo/")
        found = await read(house.address, accepted.headers["location"])
    assert found.json["submissionId"] == accepted.json["submissionId"]


async def test_a_receipt_of_an_alias_names_the_agent_itself() -> None:
    renamed = agent("new-name")
    renamed = type(renamed)(name="new-name", agent=renamed.agent, route=renamed.route, aliases=("old-name",))
    async with serving_house(renamed) as house:
        accepted = await receipt(house.address, here="/agents/old-name/me")
    assert accepted.headers["location"].startswith("/agents/new-name/me/submissions/sub_")


async def test_what_is_refused_gets_no_receipt() -> None:
    async with serving_house() as house:
        refused = await receipt(house.address, " ")
    assert (refused.status, refused.error) == (400, "invalid_request")
    assert "location" not in refused.headers


@pytest.mark.parametrize(("message", "outcome"), [("hi", "completed"), ("fail 400", "failed")])
async def test_who_waits_for_an_outcome_gets_it_when_it_is_there(message: str, outcome: str) -> None:
    async with serving_house() as house:
        accepted = await receipt(house.address, f"wait 0.1; {message}" if message == "hi" else message)
        found = await read(house.address, accepted.headers["location"] + "?wait=10")
    assert found.status == 200
    assert (found.json["status"], found.json["outcome"]) == ("settled", outcome)
    assert found.json["attempts"] == 1
    assert ("result" in found.json) == (outcome == "completed")
    if outcome == "failed":
        assert found.json["error"]["type"] == "model_rejected"


async def test_who_waits_no_longer_gets_what_there_is() -> None:
    async with serving_house(settings=BRIEF) as house:
        accepted = await receipt(house.address, "hang")
        await eventually(lambda: house.runtime.snapshot().actors.running)
        found = await read(house.address, accepted.headers["location"] + "?wait=0.05")
    assert (found.status, found.json["status"]) == (200, "running")


@pytest.mark.parametrize("wait", ["61", "-1", "soon", ""])
async def test_nobody_waits_longer_than_a_minute(wait: str) -> None:
    async with serving_house() as house:
        accepted = await receipt(house.address)
        found = await read(house.address, accepted.headers["location"] + f"?wait={wait}")
    assert (found.status, found.error) == (400, "invalid_request")


async def test_a_receipt_is_good_after_a_restart() -> None:
    store = memory_store()
    async with serving_house(store=store) as house:
        accepted = await receipt(house.address)
        await read(house.address, accepted.headers["location"] + "?wait=10")
    async with serving_house(store=store) as house:
        found = await read(house.address, accepted.headers["location"])
    assert found.json["result"]["text"] == "echo: hi (1 messages)"


async def test_another_instances_submission_does_not_exist_here() -> None:
    async with serving_house() as house:
        id = (await receipt(house.address)).json["submissionId"]
        theirs = await read(house.address, f"/agents/echo/you/submissions/{id}?wait=5")
        nobodys = await read(house.address, "/agents/echo/you/submissions/sub_0?wait=5")
        settled = await read(house.address, f"{HERE}/submissions/{id}?wait=5")
        theirs_settled = await read(house.address, f"/agents/echo/you/submissions/{id}")
    assert settled.status == 200
    assert (theirs.status, theirs.error) == (404, "submission_not_found")
    assert theirs.body == nobodys.body == theirs_settled.body


async def test_many_may_wait_for_one_outcome() -> None:
    async with serving_house() as house:
        accepted = await receipt(house.address, "wait 0.1")
        found = await asyncio.gather(
            *[read(house.address, accepted.headers["location"] + "?wait=10") for _ in range(10)]
        )
    assert {json.loads(each.body)["outcome"] for each in found} == {"completed"}


async def test_who_waits_and_leaves_stops_nothing() -> None:
    async with serving_house() as house:
        accepted = await receipt(house.address, "wait 0.1")
        async with connected(house.address) as impatient:
            await impatient.send(request("GET", accepted.headers["location"] + "?wait=10"))
        found = await read(house.address, accepted.headers["location"] + "?wait=10")
    assert found.json["outcome"] == "completed"
