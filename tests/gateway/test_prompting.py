"""A message over HTTP: its result, its stream, and how it can fail after it was accepted."""

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from flue_actors.definition.agent import AgentConfig, AgentContext, create_agent
from flue_actors.definition.guards import Principal, bearer
from flue_actors.definition.project import AgentDefinition
from flue_actors.definition.settings import Settings
from tests.gateway.house import agent, eventually, serving_house
from tests.helpers.http import connected, exchange, prompt, request

HERE = "/agents/echo/me"
SSE = "accept: text/event-stream"
BRIEF = Settings(drain_timeout=0.1, cancel_grace=0.1)


def parse(body: bytes) -> list[tuple[str, int, Any]]:
    """The frames of a stream: event, id, data."""
    found: list[tuple[str, int, Any]] = []
    for frame in body.decode().split("\n\n"):
        if frame and not frame.startswith(":"):
            fields = dict(line.split(": ", 1) for line in frame.split("\n"))
            found.append((fields["event"], int(fields["id"]), json.loads(fields["data"])))
    return found


async def test_a_prompt_is_answered_with_its_result() -> None:
    async with serving_house() as house:
        reply = await exchange(house.address, prompt(HERE))
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == {
        "result": {
            "text": "echo: hi (1 messages)",
            "usage": {"input": 12, "output": 6, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 18, "cost": None},
            "model": {"provider": "scripted", "id": "echo"},
        }
    }


async def test_an_alias_reaches_the_same_conversation() -> None:
    renamed = agent("new-name")
    renamed = type(renamed)(name="new-name", agent=renamed.agent, route=renamed.route, aliases=("old-name",))
    async with serving_house(renamed) as house:
        await exchange(house.address, prompt("/agents/old-name/me"))
        reply = await exchange(house.address, prompt("/agents/new-name/me"))
    assert reply.json["result"]["text"] == "echo: hi (3 messages)"


async def test_a_session_is_a_conversation_of_its_own() -> None:
    async with serving_house() as house:
        await exchange(house.address, prompt(HERE))
        reply = await exchange(house.address, prompt(HERE, session="other"))
    assert reply.json["result"]["text"] == "echo: hi (1 messages)"


async def test_a_stream_carries_every_event_in_order() -> None:
    async with serving_house() as house:
        reply = await exchange(house.address, prompt(HERE, "hi", SSE))
    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.headers["cache-control"] == "no-cache"
    frames = parse(reply.body)
    assert [frame[1] for frame in frames] == list(range(len(frames)))
    assert all(data["type"] == event for event, _, data in frames)
    assert (frames[0][0], frames[-2][0], frames[-1][0]) == ("operation_start", "operation", "idle")
    assert frames[-2][2]["result"]["text"] == "echo: hi (1 messages)"


async def test_a_failed_turn_ends_its_stream_with_an_error_event() -> None:
    async with serving_house() as house:
        reply = await exchange(house.address, prompt(HERE, "fail 400", SSE))
    event, _, data = parse(reply.body)[-1]
    assert (reply.status, event) == (200, "error")
    assert data["type"] == "error"
    assert data["instanceId"] == "me"
    assert data["error"]["type"] == "model_rejected"


async def test_a_failed_turn_answers_its_own_type() -> None:
    async with serving_house() as house:
        reply = await exchange(house.address, prompt(HERE, "fail 400"))
    assert (reply.status, reply.error) == (502, "model_rejected")


async def test_a_silent_stream_has_a_heartbeat() -> None:
    async with (
        serving_house(settings=replace(BRIEF, heartbeat=0.05)) as house,
        connected(house.address) as connection,
    ):
        await connection.send(prompt(HERE, "hang", SSE))
        await connection.head()
        while await connection.chunk() != b": heartbeat\n\n":
            pass


async def test_who_leaves_a_stream_stops_watching_and_not_the_work() -> None:
    async with serving_house() as house:
        async with connected(house.address) as connection:
            await connection.send(prompt(HERE, "wait 0.3", SSE))
            await connection.head()
            await connection.chunk()
        await eventually(lambda: not house.app.gateway.streams)
        assert house.runtime.snapshot().pending == 1
        reply = await exchange(house.address, prompt(HERE, "next"))
    assert reply.json["result"]["text"] == "echo: next (3 messages)"


async def test_events_that_are_ready_together_are_one_write() -> None:
    async with serving_house() as house, connected(house.address) as connection:
        await connection.send(prompt(HERE, "hi", SSE))
        await connection.head()
        chunks = await connection.chunks()
    assert len(parse(b"".join(chunks))) > 2 * len(chunks)


async def test_a_busy_instance_can_be_left_alone() -> None:
    async with serving_house(settings=BRIEF) as house, connected(house.address) as busy:
        await busy.send(prompt(HERE, "hang", SSE))
        await busy.head()
        reply = await exchange(house.address, prompt(HERE, ifBusy="reject"))
    assert (reply.status, reply.error) == (409, "session_busy")


async def test_a_full_queue_says_when_to_come_back() -> None:
    settings = Settings(max_queued=1, drain_timeout=0.1, cancel_grace=0.1)
    async with serving_house(settings=settings) as house, connected(house.address) as busy:
        await busy.send(prompt(HERE, "hang", SSE))
        await busy.head()
        reply = await exchange(house.address, prompt(HERE))
    assert (reply.status, reply.error) == (429, "queue_full")
    assert int(reply.headers["retry-after"]) >= 1


async def test_fifty_prompts_at_once_are_answered_in_acceptance_order() -> None:
    async with serving_house() as house:
        replies = await asyncio.gather(*[exchange(house.address, prompt(HERE, f"n{number}")) for number in range(50)])
    seen = sorted(int(reply.json["result"]["text"].rsplit("(", 1)[1].split()[0]) for reply in replies)
    assert seen == list(range(1, 100, 2))


async def test_the_status_says_what_runs_and_what_waits() -> None:
    async with (
        serving_house(settings=BRIEF) as house,
        connected(house.address) as busy,
        connected(house.address) as next,
    ):
        idle = await exchange(house.address, request("GET", HERE + "/status"))
        await busy.send(prompt(HERE, "hang", SSE))
        await busy.head()
        await next.send(prompt(HERE, "later", SSE))
        await next.head()
        status = (await exchange(house.address, request("GET", HERE + "/status"))).json
    assert idle.json == {"state": "idle", "running": [], "queued": 0}
    assert (status["state"], status["queued"]) == ("running", 1)
    assert set(status["running"][0]) == {"submissionId", "session", "runningSince"}


async def test_health_is_told_to_probes() -> None:
    async with serving_house() as house:
        for path in ("/livez", "/readyz"):
            reply = await exchange(house.address, request("GET", path))
            assert (reply.status, reply.json) == (200, {"status": "ok"})
            assert (await exchange(house.address, request("POST", path))).error == "method_not_allowed"


@pytest.mark.parametrize("dev", [True, False])
async def test_what_a_developer_should_see_is_in_development_mode_only(dev: bool) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("the secret reason")

    async with serving_house(agent("echo", route=broken), dev=dev) as house:
        reply = await exchange(house.address, prompt(HERE))
    assert (reply.status, reply.error) == (500, "internal_error")
    assert (b"the secret reason" in reply.body) is dev


async def test_who_leaves_before_the_answer_stops_waiting_and_not_the_work() -> None:
    async with serving_house() as house:
        async with connected(house.address) as connection:
            await connection.send(prompt(HERE, "wait 0.2"))
            await eventually(lambda: house.runtime.snapshot().pending)
        reply = await exchange(house.address, prompt(HERE))
    assert reply.json["result"]["text"] == "echo: hi (3 messages)"


async def test_a_client_that_waits_to_be_told_to_go_on_is_told() -> None:
    async with serving_house() as house, connected(house.address) as connection:
        head, _, body = prompt(HERE, "hi", "expect: 100-continue").partition(b"\r\n\r\n")
        await connection.send(head + b"\r\n\r\n")
        assert (await connection.head())[0] == 100
        await connection.send(body)
        assert (await connection.reply()).status == 200


async def test_an_old_client_needs_no_host_and_gets_its_connection_closed() -> None:
    async with serving_house() as house, connected(house.address) as connection:
        body = b'{"message":"hi"}'
        fields = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        await connection.send(b"POST /agents/echo/me HTTP/1.0\r\n" + fields + body)
        assert (await connection.rest()).startswith(b"HTTP/1.1 200 ")


async def test_a_principal_reaches_the_agent() -> None:
    seen: list[object] = []

    def remember(ctx: AgentContext) -> AgentConfig:
        seen.append(ctx.principal)
        return AgentConfig(model="scripted/echo")

    desk = AgentDefinition(name="desk", agent=create_agent(remember), route=bearer({"t": "alice"}))
    async with serving_house(desk) as house:
        await exchange(house.address, prompt("/agents/desk/me", "hi", "authorization: Bearer t"))
    assert seen == [Principal("alice")]
