"""``ifBusy`` on the wire: what becomes of a message while the instance has work, the same on every transport."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from flue_actors.definition.agent import create_agent
from flue_actors.definition.guards import public
from flue_actors.definition.project import AgentDefinition
from flue_actors.definition.settings import Settings
from flue_actors.definition.tools import tool
from tests.gateway.house import House, eventually, serving_house
from tests.gateway.test_sockets import ask, outcome, talking
from tests.helpers.http import exchange, prompt, request

HERE = "/agents/echo/me"
BRIEF = Settings(drain_timeout=0.1, cancel_grace=0.1)


class Instance:
    """One that works on a message without end, and has another one waiting."""

    def __init__(self, house: House, running: str, waiting: str) -> None:
        self.house = house
        self.running = running
        self.waiting = waiting

    async def outcome(self, submission_id: str) -> dict[str, Any]:
        return (await exchange(self.house.address, request("GET", f"{HERE}/submissions/{submission_id}?wait=10"))).json

    async def send(self, transport: str, **fields: Any) -> str:
        """The text of the answer, or the type of the error."""
        if transport == "post":
            reply = (await exchange(self.house.address, prompt(HERE, **fields))).json
        else:
            async with talking(self.house) as socket:
                await ask(socket, "r", **fields)
                reply = await outcome(socket, "r")
        return reply["error"]["type"] if "error" in reply else reply["result"]["text"]


async def receipt(house: House, message: str, **fields: Any) -> str:
    return (await exchange(house.address, prompt(HERE, message, "prefer: respond-async", **fields))).json[
        "submissionId"
    ]


@asynccontextmanager
async def busy(first: str = "hang", second: str = "hi", **fields: Any) -> AsyncGenerator[Instance]:
    async with serving_house(settings=BRIEF) as house:
        running = await receipt(house, first)
        await eventually(lambda: house.runtime.snapshot().actors.running)
        yield Instance(house, running, await receipt(house, second, **fields))


TRANSPORTS = pytest.mark.parametrize("transport", ["post", "socket"])


@TRANSPORTS
async def test_reject(transport: str) -> None:
    async with busy() as instance:
        assert await instance.send(transport, ifBusy="reject") == "session_busy"
        assert instance.house.runtime.snapshot().pending == 2


@TRANSPORTS
async def test_interrupt(transport: str) -> None:
    async with busy() as instance:
        text = await instance.send(transport, ifBusy="interrupt")
        running, waiting = await instance.outcome(instance.running), await instance.outcome(instance.waiting)
    assert text.startswith("echo: hi")
    assert (running["outcome"], running["error"]["meta"]) == ("aborted", {"reason": "interrupted"})
    assert waiting["outcome"] == "completed"  # it came before


@TRANSPORTS
async def test_supersede(transport: str) -> None:
    async with busy("wait 0.2") as instance:
        text = await instance.send(transport, ifBusy="supersede")
        running, waiting = await instance.outcome(instance.running), await instance.outcome(instance.waiting)
    assert text == "echo: hi (3 messages)"
    assert running["outcome"] == "completed"
    assert (waiting["outcome"], waiting["error"]["meta"]) == ("aborted", {"reason": "superseded"})


@TRANSPORTS
async def test_merge(transport: str) -> None:
    async with busy("wait 0.2", "first part", ifBusy="merge") as instance:
        text = await instance.send(transport, ifBusy="merge", message="second part")
        waiting = await instance.outcome(instance.waiting)
    assert waiting["result"]["text"] == text
    assert text.endswith("(4 messages)")  # one question and its answer, then both parts


@TRANSPORTS
async def test_steer_without_a_boundary_waits_in_line(transport: str) -> None:
    async with busy("wait 0.2") as instance:
        assert await instance.send(transport, ifBusy="steer") == "echo: hi (5 messages)"


@TRANSPORTS
async def test_steer(transport: str) -> None:
    begun, opened = asyncio.Event(), asyncio.Event()

    @tool
    async def gate() -> str:
        """Wait until it opens."""
        begun.set()
        await opened.wait()
        return "open"

    echo = AgentDefinition(
        name="echo", agent=create_agent(model="scripted/echo", tools=[gate]), route=public, websocket=public
    )
    async with serving_house(echo) as house:
        instance = Instance(house, await receipt(house, "call gate"), "")
        await begun.wait()
        steering = asyncio.create_task(instance.send(transport, ifBusy="steer", message="rather this"))
        await eventually(lambda: house.runtime.snapshot().pending == 2)
        opened.set()
        text = await steering
        host = await instance.outcome(instance.running)
    assert text == host["result"]["text"]
    assert "rather this" in text


@TRANSPORTS
async def test_queue(transport: str) -> None:
    async with busy("wait 0.1") as instance:
        assert await instance.send(transport) == "echo: hi (5 messages)"


async def test_an_unknown_policy_is_refused() -> None:
    async with serving_house() as house:
        reply = await exchange(house.address, prompt(HERE, ifBusy="shout"))
    assert (reply.status, reply.error) == (400, "invalid_request")


async def test_a_repeat_of_what_interrupts_interrupts_once() -> None:
    async with busy() as instance:
        again = prompt(HERE, "hi", "idempotency-key: k", ifBusy="interrupt")
        answers = await asyncio.gather(*[exchange(instance.house.address, again) for _ in range(3)])
    assert len({each.body for each in answers}) == 1
    assert answers[0].status == 200
