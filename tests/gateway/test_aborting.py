"""Stopping work from outside: the route, the frame, and leaving where that was asked for."""

import asyncio
import json
from typing import Any

import pytest

from flue_actors.definition.settings import Settings
from flue_actors.memory import MemoryStore, memory_store
from flue_actors.storage import Committed, Fence, Op, Settle
from tests.gateway.house import House, eventually, serving_house
from tests.gateway.test_prompting import SSE, parse
from tests.gateway.test_sockets import ask, hear, outcome, talking
from tests.helpers.http import Reply, connected, exchange, prompt, request

HERE = "/agents/echo/me"
BRIEF = Settings(drain_timeout=0.1, cancel_grace=0.1)


async def abort(house: House, **named: Any) -> Reply:
    body = json.dumps(named).encode() if named else b""
    return await exchange(house.address, request("POST", HERE + "/abort", body))


async def receipt(house: House, message: str = "hang", **fields: Any) -> str:
    reply = await exchange(house.address, prompt(HERE, message, "prefer: respond-async", **fields))
    return reply.json["submissionId"]


async def settled(house: House, submission_id: str) -> dict[str, Any]:
    return (await exchange(house.address, request("GET", f"{HERE}/submissions/{submission_id}?wait=10"))).json


async def until_running(house: House) -> None:
    await eventually(lambda: house.runtime.snapshot().actors.running)


async def test_an_abort_ends_what_runs_and_what_waits_and_says_how_much_that_is() -> None:
    async with serving_house(settings=BRIEF) as house:
        ids = [await receipt(house, session=session) for session in ("a", "a", "b")]
        await until_running(house)
        reply = await abort(house)
        found = [await settled(house, id) for id in ids]
        status = await exchange(house.address, request("GET", HERE + "/status"))
    assert (reply.status, reply.json) == (200, {"aborted": True, "count": 3})
    assert [(each["outcome"], each["error"]["type"]) for each in found] == [("aborted", "aborted")] * 3
    assert status.json["state"] == "idle"


async def test_nothing_to_abort_is_no_error() -> None:
    async with serving_house() as house:
        reply = await abort(house)
    assert (reply.status, reply.json) == (200, {"aborted": False, "count": 0})


async def test_one_session_or_one_submission_can_be_named() -> None:
    async with serving_house(settings=BRIEF) as house:
        first, second, other = [await receipt(house, session=session) for session in ("a", "a", "b")]
        await until_running(house)
        one = await abort(house, submissionId=second)
        assert (await settled(house, second))["outcome"] == "aborted"
        again = await abort(house, submissionId=second)
        session = await abort(house, session="a")
        assert (await settled(house, first))["outcome"] == "aborted"
        left = await exchange(house.address, request("GET", f"{HERE}/submissions/{other}"))
    assert [each.json for each in (one, again, session)] == [
        {"aborted": True, "count": 1},
        {"aborted": False, "count": 0},
        {"aborted": True, "count": 1},
    ]
    assert left.json["status"] != "settled"


@pytest.mark.parametrize(
    ("named", "status", "kind"),
    [
        ({"submissionId": "sub_0"}, 404, "submission_not_found"),
        ({"submissionId": "sub_0", "session": "a"}, 400, "invalid_request"),
        ({"session": " "}, 400, "invalid_request"),
        ({"session": 1}, 400, "invalid_request"),
    ],
)
async def test_what_cannot_be_aborted_is_said_so(named: dict[str, Any], status: int, kind: str) -> None:
    async with serving_house() as house:
        reply = await abort(house, **named)
    assert (reply.status, reply.error) == (status, kind)


async def test_another_instances_submission_cannot_be_aborted() -> None:
    async with serving_house(settings=BRIEF) as house:
        id = await receipt(house)
        body = json.dumps({"submissionId": id}).encode()
        reply = await exchange(house.address, request("POST", "/agents/echo/you/abort", body))
        found = await exchange(house.address, request("GET", f"{HERE}/submissions/{id}"))
    assert (reply.status, reply.error) == (404, "submission_not_found")
    assert found.json["status"] != "settled"


class SettlesLater(MemoryStore):
    """Nothing is settled until `release`."""

    def __init__(self) -> None:
        super().__init__()
        self._released = asyncio.Event()

    def release(self) -> None:
        self._released.set()

    def commit(self, fence: Fence, *ops: Op) -> "asyncio.Future[Committed]":
        if not any(isinstance(op, Settle) for op in ops) or self._released.is_set():
            return super().commit(fence, *ops)
        return asyncio.ensure_future(self._commit_later(fence, ops))

    async def _commit_later(self, fence: Fence, ops: tuple[Op, ...]) -> Committed:
        await self._released.wait()
        return await super().commit(fence, *ops)


@pytest.mark.parametrize("how", ["post", "frame"])
async def test_the_wish_is_on_disk_before_anything_follows_from_it(how: str) -> None:
    store = SettlesLater()
    async with serving_house(store=store, settings=BRIEF) as house, talking(house) as socket:
        for request_id in ("running", "waiting"):
            await ask(socket, request_id, "hang")
        await eventually(lambda: house.runtime.snapshot().pending == 2)
        await until_running(house)
        if how == "post":
            assert (await abort(house)).json["count"] == 2
        else:
            for request_id in ("running", "waiting"):
                await socket.send(json.dumps({"version": 1, "type": "abort", "requestId": request_id}))
            async with asyncio.timeout(10):
                while not all(each.abort for each in await store.unsettled()):
                    await asyncio.sleep(0.005)
        rows = await store.unsettled()
        assert [(each.status != "settled", each.abort) for each in rows] == [(True, "aborted")] * 2
        store.release()
        outcomes: list[Any] = []
        while len(outcomes) < 2:
            frame = await hear(socket)
            outcomes += [frame["error"]["type"]] if frame["type"] in ("error", "result") else []
        assert outcomes == ["aborted"] * 2


async def test_everybody_who_waits_for_aborted_work_is_told() -> None:
    async with (
        serving_house(settings=BRIEF) as house,
        connected(house.address) as waiting,
        connected(house.address) as watching,
        talking(house) as socket,
    ):
        await waiting.send(prompt(HERE, "hang"))
        await until_running(house)
        await watching.send(prompt(HERE, "hi", SSE))
        await watching.head()
        await ask(socket, "r")
        await eventually(lambda: house.runtime.snapshot().pending == 3)
        reply = await abort(house)
        answer = await waiting.reply()
        event, _, data = parse(b"".join(await watching.chunks()))[-1]
        frame = await outcome(socket, "r")
    assert reply.json["count"] == 3
    assert (answer.status, answer.error) == (409, "aborted")
    assert answer.json["error"]["meta"]["reason"] == "aborted"
    assert (event, data["error"]["type"]) == ("error", "aborted")
    assert (frame["type"], frame["error"]["type"]) == ("error", "aborted")


async def test_a_socket_aborts_its_own_request() -> None:
    async with serving_house(settings=BRIEF) as house, talking(house) as socket:
        await ask(socket, "r", "hang")
        while (await hear(socket))["type"] != "started":
            pass
        await ask(socket, "next", "hi")
        await socket.send('{"version":1,"type":"abort","requestId":"r"}')
        frame = await outcome(socket, "r")
        assert (frame["error"]["type"], frame["error"]["meta"]["reason"]) == ("aborted", "aborted")
        assert (await outcome(socket, "next"))["type"] == "result"


async def test_a_socket_cannot_abort_what_is_not_its_request() -> None:
    async with serving_house(settings=BRIEF) as house, talking(house) as socket, talking(house) as other:
        await ask(socket, "r", "hang")
        while (await hear(socket))["type"] != "started":
            pass
        await other.send('{"version":1,"type":"abort","requestId":"r"}')
        refusal = await hear(other)
        assert (refusal["type"], "requestId" in refusal) == ("error", False)
        assert house.runtime.snapshot().pending == 1


async def leave(house: House, how: str, **fields: Any) -> None:
    """Send a message that never ends, and leave when it runs."""
    if how == "socket":
        async with talking(house) as socket:
            await ask(socket, "r", "hang", **fields)
            await until_running(house)
        return
    async with connected(house.address) as connection:
        await connection.send(prompt(HERE, "hang", *([SSE] if how == "stream" else []), **fields))
        await until_running(house)


TRANSPORTS = ["answer", "stream", "socket"]


@pytest.mark.parametrize("how", TRANSPORTS)
async def test_who_asked_for_it_takes_the_work_along_when_leaving(how: str) -> None:
    store = memory_store()
    async with serving_house(store=store, settings=BRIEF) as house:
        await leave(house, how, cancelOnDisconnect=True, session="s")
        await eventually(lambda: not house.runtime.snapshot().pending)
        history = (await exchange(house.address, request("GET", HERE + "/sessions/s"))).json["entries"]
        found = await settled(house, history[0]["submissionId"])
    assert (found["outcome"], found["error"]["meta"]["reason"]) == ("aborted", "disconnected")


@pytest.mark.parametrize("how", TRANSPORTS)
async def test_everybody_elses_work_goes_on(how: str) -> None:
    async with serving_house(settings=BRIEF) as house:
        await leave(house, how)
        await asyncio.sleep(0.05)  # as long as the others' work takes to end
        assert house.runtime.snapshot().pending == 1


async def test_who_waits_for_the_answer_gets_it_although_leaving_would_abort() -> None:
    async with serving_house() as house, connected(house.address) as connection:
        for number in (1, 3):
            await connection.send(prompt(HERE, cancelOnDisconnect=True))
            assert (await connection.reply()).json["result"]["text"] == f"echo: hi ({number} messages)"
