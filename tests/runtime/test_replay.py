"""What is replayed of a conversation is what was seen of it while it happened."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from flue_actors import Runtime, create_agent, memory_store, tool
from flue_actors.errors import TurnError
from flue_actors.events import Event
from tests.runtime.support import virtual_time

RELIED_ON = ("type", "offset", "submissionId", "session", "instanceId", "message", "result", "error", "isError", "kept")


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


AGENT = create_agent(model="scripted/echo", instructions="Speak.", tools=[add])


async def seen_live(runtime: Runtime, *messages: str) -> list[Event]:
    """Every event of the session while these are worked on."""
    ref, found = runtime.ref("agent", "u1"), list[Event]()

    async def follow() -> None:
        async for event in ref.events(after="0-0"):
            found.append(event)

    following = asyncio.ensure_future(follow())
    await asyncio.sleep(0)
    for message in messages:
        with suppress(TurnError):
            await ref.prompt(message)
    await asyncio.sleep(1)
    following.cancel()
    return found


async def replayed(runtime: Runtime, upto: str) -> list[Event]:
    found = list[Event]()
    async for event in runtime.ref("agent", "u1").events(after="0-0"):
        found.append(event)
        if event.offset == upto:
            break
    return found


def told(event: Event) -> dict[str, Any]:
    """What of an event a client relies on."""
    fields = msgspec.to_builtins(event)
    return {name: fields[name] for name in RELIED_ON if name in fields}


def is_durable(event: Event) -> bool:
    return str(event.offset).endswith("-0") or told(event)["type"] in {"idle", "error"}


@pytest.mark.parametrize(
    "messages",
    [("hello",), ('call add {"a": 1, "b": 2}',), ("fail 400",), ("hello", "fail 529", "again"), ("think hm\nhello",)],
)
@virtual_time
async def test_a_replay_tells_what_was_seen_live(messages: tuple[str, ...]) -> None:
    store = memory_store()
    async with Runtime({"agent": AGENT}, store=store) as runtime:
        live = [told(event) for event in await seen_live(runtime, *messages) if is_durable(event)]
    async with Runtime({"agent": AGENT}, store=store) as runtime:
        again = [told(event) for event in await replayed(runtime, live[-1]["offset"])]
    assert again == live


@virtual_time
async def test_the_instructions_are_never_shown() -> None:
    store = memory_store()
    for instructions in ("First secret.", "Second secret."):
        agent = create_agent(model="scripted/echo", instructions=instructions)
        async with Runtime({"agent": agent}, store=store) as runtime:
            await runtime.ref("agent", "u1").prompt("hello")
            sessions = await runtime.ref("agent", "u1").sessions()
            upto = sessions[0].offset.removesuffix("0") + "1"
            shown = [*await replayed(runtime, upto), *await runtime.ref("agent", "u1").history()]
    assert b"secret" not in msgspec.json.encode(shown)


@virtual_time
async def test_inputs_that_were_settled_together_are_replayed_in_the_order_they_were_shown() -> None:
    store = memory_store()
    async with Runtime({"agent": AGENT}, store=store) as runtime:
        ref = runtime.ref("agent", "u1")
        following = asyncio.ensure_future(seen_live(runtime, "wait 1"))
        await asyncio.sleep(0.5)
        await asyncio.gather(ref.prompt("one", if_busy="merge"), ref.prompt("two", if_busy="merge"))
        live = [told(event) for event in await following if is_durable(event)]
    async with Runtime({"agent": AGENT}, store=store) as runtime:
        again = [told(event) for event in await replayed(runtime, live[-1]["offset"])]
    assert again == live
    assert [event["type"] for event in live].count("idle") == 3
