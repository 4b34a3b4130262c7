"""What is seen of subagents from outside."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from websockets.asyncio.client import connect

from tests.gateway.abilities import boss, get
from tests.gateway.house import House, serving_house
from tests.gateway.test_prompting import SSE, parse
from tests.gateway.test_sockets import ask, hear
from tests.helpers.http import connected, exchange, prompt, request

HERE = "/agents/boss/me"


def check(events: list[dict[str, Any]]) -> None:
    """A task begins, works with its own correlation, and ends, in the midst of its parent's events."""
    start = next(each for each in events if each["type"] == "task_start")
    own = [each for each in events if each.get("taskId") == start["taskId"]]
    assert [own[0]["type"], own[-1]["type"]] == ["task_start", "task"]
    assert {each["parentSession"] for each in own} == {"default"}
    within = [each for each in own if each["session"].startswith("task:default:")]
    assert {"turn_start", "tool_start", "tool_call", "text_delta", "message_end"} <= {each["type"] for each in within}
    assert all("taskId" not in each for each in events if each["session"] == "default" and each not in own)
    assert own[-1]["result"].startswith("done: looked in task:default:")


async def test_a_stream_of_a_prompt_shows_the_work_of_its_subagents() -> None:
    async with serving_house(boss()) as house:
        reply = await exchange(house.address, prompt(HERE, "find it", SSE))
    frames = parse(reply.body)
    assert [index for _, index, _ in frames] == list(range(len(frames)))
    check([data for _, _, data in frames])


async def test_a_socket_shows_the_work_of_subagents() -> None:
    async with serving_house(boss()) as house, connect(house.ws + HERE) as socket:
        await ask(socket, "r", "find it")
        frames = [await hear(socket)]
        while frames[-1]["type"] != "result":
            frames.append(await hear(socket))
    check([frame["event"] for frame in frames if frame["type"] == "event"])


async def test_who_follows_a_conversation_sees_the_work_of_its_subagents() -> None:
    async with serving_house(boss()) as house, connected(house.address) as connection:
        await connection.send(request("GET", HERE + "/stream"))
        await connection.head()
        await connection.chunk()
        await exchange(house.address, prompt(HERE, "find it"))
        body = b""
        while b"event: idle" not in body:
            body += await connection.chunk()
    frames = [frame for frame in body.decode().split("\n\n") if frame and not frame.startswith(":")]
    check([json.loads(frame.split("data: ", 1)[1]) for frame in frames])


async def tasks(house: House) -> list[dict[str, Any]]:
    listed = (await get(house, HERE + "/sessions")).json["sessions"]
    return [each for each in listed if "parent" in each]


async def test_a_subagents_conversation_is_listed_with_its_parent_and_can_be_read() -> None:
    async with serving_house(boss()) as house:
        await exchange(house.address, prompt(HERE, "find it"))
        (task,) = await tasks(house)
        page = await get(house, f"{HERE}/sessions/{quote(task['name'], safe='')}")
        missing = await get(house, f"{HERE}/sessions/task:default:none")
    assert (task["name"].startswith("task:default:"), task["parent"]) == (True, "default")
    assert [each["message"]["role"] for each in page.json["entries"]] == [
        "user",
        "assistant",
        "toolResult",
        "assistant",
    ]
    assert (missing.status, missing.error) == (404, "session_not_found")


@pytest.mark.parametrize("target", ["", "/abort", "/stream"])
async def test_a_subagents_conversation_takes_nothing_from_outside(target: str) -> None:
    async with serving_house(boss()) as house:
        await exchange(house.address, prompt(HERE, "find it"))
        (task,) = await tasks(house)
        if target == "/stream":
            reply = await get(house, f"{HERE}/stream?session={quote(task['name'], safe='')}")
        else:
            reply = await exchange(house.address, prompt(HERE + target, "hi", session=task["name"]))
        removed = await exchange(house.address, request("DELETE", f"{HERE}/sessions/{quote(task['name'], safe='')}"))
        async with asyncio.timeout(10), connect(house.ws + HERE) as socket:
            await ask(socket, "r", session=task["name"])
            await socket.recv()
            refused = await hear(socket)
    assert (reply.status, reply.error) == (400, "invalid_request")
    assert (removed.status, removed.error) == (400, "invalid_request")
    assert refused["error"]["type"] == "invalid_request"


async def test_a_subagents_conversation_goes_with_its_parent() -> None:
    async with serving_house(boss()) as house:
        await exchange(house.address, prompt(HERE, "find it"))
        await exchange(house.address, request("DELETE", HERE + "/sessions/default"))
        assert (await get(house, HERE + "/sessions")).json == {"sessions": []}
