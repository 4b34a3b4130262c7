"""Calls that wait for a decision: listed, shown and decided over HTTP and sockets."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest
from websockets.asyncio.client import ClientConnection, connect

from flue_actors.definition.guards import bearer
from flue_actors.definition.settings import Settings
from flue_actors.memory import memory_store
from tests.gateway.abilities import asked, boss, get, post, sender
from tests.gateway.house import House, serving_house
from tests.gateway.test_prompting import BRIEF, SSE
from tests.gateway.test_sockets import ask, close_code, hear, outcome
from tests.helpers.http import connected, exchange, prompt, request

HERE = "/agents/sender/me"
AS_ADA = "authorization: Bearer ada"


@asynccontextmanager
async def talking(house: House, **options: Any) -> AsyncGenerator[ClientConnection]:
    async with connect(house.ws + HERE, **options) as socket:
        assert (await hear(socket))["type"] == "ready"
        yield socket


async def decide(socket: ClientConnection, request_id: str, approval_id: str, decision: str, **more: Any) -> None:
    frame = {"version": 1, "type": "decide", "requestId": request_id, "approvalId": approval_id, "decision": decision}
    await socket.send(json.dumps({**frame, **more}))


async def answer_to(socket: ClientConnection, request_id: str) -> dict[str, Any]:
    while (frame := await hear(socket)).get("requestId") != request_id:
        pass
    return frame


async def test_a_call_that_waits_is_listed_with_what_it_would_do() -> None:
    async with serving_house(sender()) as house:
        await exchange(house.address, prompt(HERE, "a@x", "prefer: respond-async"))
        (waiting,) = await asked(house, HERE)
    assert set(waiting) == {
        "id", "submissionId", "session", "toolName", "toolCallId", "args", "requestedAt", "expiresAt"
    }  # fmt: skip
    assert (waiting["toolName"], waiting["args"], waiting["session"]) == ("send", {"to": "a@x"}, "default")


async def test_nothing_waits_where_nothing_was_asked() -> None:
    async with serving_house(sender()) as house:
        assert (await get(house, HERE + "/approvals")).json == {"approvals": []}


@pytest.mark.parametrize(
    ("body", "verdict", "text"),
    [
        ({"decision": "approve"}, "approved", "sent to a@x"),
        ({"decision": "deny"}, "denied", "Not run: it was not approved."),
        ({"decision": "deny", "reason": "wrong address"}, "denied", "They say: wrong address"),
    ],
)
async def test_a_post_that_waits_is_answered_after_the_decision(body: Any, verdict: str, text: str) -> None:
    async with serving_house(sender()) as house, connected(house.address) as connection:
        await connection.send(prompt(HERE, "a@x"))
        (waiting,) = await asked(house, HERE)
        decided = await post(house, f"{HERE}/approvals/{quote(waiting['id'], safe='')}", body)
        reply = await connection.reply()
        left = await get(house, HERE + "/approvals")
    assert (decided.status, decided.json) == (200, {"approvalId": waiting["id"], "decision": verdict})
    assert text in reply.json["result"]["text"]
    assert left.json == {"approvals": []}


async def test_a_stream_shows_what_is_asked_and_what_was_decided_by_whom() -> None:
    async with serving_house(sender(bearer({"ada": "Ada"}))) as house, connected(house.address) as connection:
        await connection.send(prompt(HERE, "a@x", SSE, AS_ADA))
        await connection.head()
        body = await connection.chunk()
        while b"event: approval_requested" not in body:
            body += await connection.chunk()
        requested = json.loads(body.split(b"event: approval_requested")[1].split(b"data: ")[1].split(b"\n")[0])
        here = f"{HERE}/approvals/{quote(requested['approvalId'], safe='')}"
        await post(house, here, {"decision": "approve"}, AS_ADA)
        body = b"".join(await connection.chunks())
        page = await get(house, HERE + "/sessions/default", AS_ADA)
    assert requested["args"] == {"to": "a@x"}
    decided = json.loads(body.split(b"event: approval_decided")[1].split(b"data: ")[1].split(b"\n")[0])
    assert (decided["approvalId"], decided["decision"]) == (requested["approvalId"], "approved")
    assert b"Ada" not in body
    assert b"event: idle" in body
    assert b"sent to a@x" in page.body


async def test_a_receipt_says_what_its_message_waits_for() -> None:
    async with serving_house(sender()) as house:
        accepted = await exchange(house.address, prompt(HERE, "a@x b@x", "prefer: respond-async"))
        waiting = await asked(house, HERE, 2)
        async with asyncio.timeout(10):
            while (status := (await get(house, HERE + "/status")).json)["state"] != "waiting":
                await asyncio.sleep(0.005)
        submission = (await get(house, accepted.headers["location"])).json
        for each in waiting:
            await post(house, f"{HERE}/approvals/{each['id']}", {"decision": "approve"})
        settled = (await get(house, accepted.headers["location"] + "?wait=10")).json
        idle = (await get(house, HERE + "/status")).json
    assert (submission["status"], submission["approvals"]) == ("waiting", waiting)
    assert (status["queued"], status["running"], status["approvals"]) == (1, [], waiting)
    assert (settled["status"], settled["result"]["text"]) == ("settled", "sent to a@x | sent to b@x")
    assert "approvals" not in settled
    assert idle == {"state": "idle", "running": [], "queued": 0}


async def test_a_decision_counts_once() -> None:
    async with serving_house(sender(sent=(done := []))) as house:
        accepted = await exchange(house.address, prompt(HERE, "a@x b@x", "prefer: respond-async"))
        first, second = await asked(house, HERE, 2)
        here = f"{HERE}/approvals/{first['id']}"
        once, twice = [await post(house, here, {"decision": "approve"}) for _ in range(2)]
        otherwise = await post(house, here, {"decision": "deny"})
        await post(house, f"{HERE}/approvals/{second['id']}", {"decision": "deny"})
        settled = await get(house, accepted.headers["location"] + "?wait=10")
        late = await post(house, here, {"decision": "approve"})
    assert (once.status, twice.status) == (200, 200)
    assert (otherwise.status, otherwise.error) == (409, "approval_decided")
    assert settled.json["outcome"] == "completed"
    assert (late.status, late.error) == (404, "approval_not_found")
    assert done == ["a@x"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "invalid_request"),
        (b"{}", "invalid_request"),
        (b'{"decision":"yes"}', "invalid_request"),
        (b'{"decision":"approved"}', "invalid_request"),
        (b'{"decision":"deny","reason":5}', "invalid_request"),
        (b'{"decision":"deny","reason":"' + b"x" * 2_001 + b'"}', "invalid_request"),
        (b"{", "invalid_json"),
        (b'{"decision":"deny","reason":"\\ud800"}', "invalid_json"),
    ],
)
async def test_what_is_no_decision_decides_nothing(body: bytes, error: str) -> None:
    async with serving_house(sender()) as house:
        await exchange(house.address, prompt(HERE, "a@x", "prefer: respond-async"))
        (waiting,) = await asked(house, HERE)
        reply = await exchange(house.address, request("POST", f"{HERE}/approvals/{waiting['id']}", body))
        assert await asked(house, HERE) == [waiting]
    assert (reply.status, reply.error) == (400, error)


@pytest.mark.parametrize("id", ["x", "..", "a%2Fb", "%F0%9F%99%82", "%00", "*"])
async def test_a_call_that_nobody_asked_about_is_not_found(id: str) -> None:
    async with serving_house(sender()) as house:
        reply = await post(house, f"{HERE}/approvals/{id}", {"decision": "approve"})
    assert (reply.status, reply.error) == (404, "approval_not_found")


async def test_approvals_are_behind_the_guard() -> None:
    async with serving_house(sender(bearer({"ada": "Ada"}))) as house:
        listed = await get(house, HERE + "/approvals")
        decided = await post(house, HERE + "/approvals/x", {"decision": "approve"})
    assert (listed.status, decided.status) == (401, 401)


async def test_what_waits_outlives_the_server() -> None:
    store, done = memory_store(), list[str]()
    async with serving_house(sender(), store=store, settings=BRIEF) as house:
        accepted = await exchange(house.address, prompt(HERE, "a@x", "prefer: respond-async"))
        waiting = await asked(house, HERE)
    async with serving_house(sender(sent=done), store=store, settings=BRIEF) as house:
        again = await asked(house, HERE)
        await post(house, f"{HERE}/approvals/{again[0]['id']}", {"decision": "approve"})
        settled = await get(house, accepted.headers["location"] + "?wait=10")
    assert again == waiting
    assert (settled.json["outcome"], done) == ("completed", ["a@x"])


@pytest.mark.parametrize("accept", ["accept: application/json", SSE])
async def test_who_waits_for_a_decision_is_told_at_once_that_the_server_stops(accept: str) -> None:
    async with serving_house(sender(), settings=Settings(drain_timeout=60)) as house:
        async with connected(house.address) as connection:
            await connection.send(prompt(HERE, "a@x", accept))
            await asked(house, HERE)
            house.server.stop()
            told = await connection.rest()
    assert b'"type":"interrupted"' in told
    assert b'"submissionId"' in told


async def test_a_socket_that_waits_for_a_decision_is_told_at_once_that_the_server_stops() -> None:
    async with serving_house(sender(), settings=Settings(drain_timeout=60)) as house, talking(house) as socket:
        await ask(socket, "r", "a@x")
        await asked(house, HERE)
        house.server.stop()
        assert (await outcome(socket, "r"))["error"]["type"] == "interrupted"
        assert await close_code(socket) == 1001


async def test_a_socket_shows_what_is_asked_and_decides() -> None:
    async with serving_house(sender()) as house, talking(house) as socket:
        await ask(socket, "r", "a@x")
        while (frame := await answer_to(socket, "r")).get("event", {}).get("type") != "approval_requested":
            pass
        id = frame["event"]["approvalId"]
        await decide(socket, "d", id, "approve")
        frames = [await hear(socket)]
        while frames[-1]["type"] != "result":
            frames.append(await hear(socket))
    assert {"version": 1, "type": "decided", "requestId": "d", "approvalId": id, "decision": "approved"} in frames
    decided = [each["event"] for each in frames if each.get("event", {}).get("type") == "approval_decided"]
    assert [(each["approvalId"], each["decision"]) for each in decided] == [(id, "approved")]
    assert frames[-1]["result"]["text"] == "sent to a@x"


async def test_a_socket_lists_what_waits() -> None:
    async with serving_house(sender()) as house, talking(house) as socket:
        await ask(socket, "r", "a@x")
        waiting = await asked(house, HERE)
        await socket.send('{"version":1,"type":"approvals","requestId":"l"}')
        answer = await answer_to(socket, "l")
    assert answer == {"version": 1, "type": "approvals", "requestId": "l", "approvals": waiting}


async def test_a_socket_decides_on_what_another_one_asked_and_is_known_by_its_guard() -> None:
    async with serving_house(sender(bearer({"ada": "Ada"}))) as house:
        headers = {"additional_headers": {"authorization": "Bearer ada"}}
        async with talking(house, **headers) as one, talking(house, **headers) as other:
            await ask(one, "r", "a@x")
            while (frame := await answer_to(one, "r")).get("event", {}).get("type") != "approval_requested":
                pass
            await decide(other, "d", frame["event"]["approvalId"], "deny", reason="not now")
            assert (await answer_to(other, "d"))["decision"] == "denied"
            while (frame := await answer_to(one, "r")).get("event", {}).get("type") != "approval_decided":
                pass
            assert frame["event"]["decision"] == "denied"
            assert "by" not in frame["event"]
            assert "They say: not now" in (await outcome(one, "r"))["result"]["text"]


async def test_a_decision_that_is_refused_is_an_error_of_its_request() -> None:
    async with serving_house(sender()) as house, talking(house) as socket:
        await decide(socket, "d", "x", "approve")
        frame = await hear(socket)
        await ask(socket, "d", "")
        assert (await outcome(socket, "d"))["error"]["type"] == "invalid_request"
    assert (frame["type"], frame["requestId"], frame["error"]["type"]) == ("error", "d", "approval_not_found")


async def test_a_call_of_a_subagent_is_decided_like_any_other() -> None:
    async with serving_house(boss(approval=True)) as house, connected(house.address) as connection:
        await connection.send(prompt("/agents/boss/me", "find it"))
        (waiting,) = await asked(house, "/agents/boss/me")
        decided = await post(
            house, f"/agents/boss/me/approvals/{quote(waiting['id'], safe='')}", {"decision": "approve"}
        )
        reply = await connection.reply()
    assert waiting["session"].startswith("task:default:")
    assert waiting["id"].startswith(waiting["toolCallId"] + ".")
    assert decided.status == 200
    assert "looked in task:default:" in reply.json["result"]["text"]
