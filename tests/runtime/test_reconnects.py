"""Ten thousand broken connections at random moments and offsets: no gap and no duplicate, however small the ring."""

import asyncio
import random
from functools import partial

import pytest

from flue_actors import observing
from flue_actors.definition.agent import CreatedAgent, create_agent
from flue_actors.definition.settings import Settings
from flue_actors.definition.tools import tool
from flue_actors.memory import memory_store
from flue_actors.observing import RING_EVENTS, Feed
from flue_actors.places import Place
from flue_actors.refs import LocalSessionRef
from flue_actors.runtime import Runtime
from flue_actors.storage import Store
from tests.runtime.reading import Reader, Talkative, breathe
from tests.runtime.support import running, virtual_time


@tool
async def look() -> str:
    """Look around."""
    await breathe(2)
    return "nothing"


def talking(seed: int) -> CreatedAgent:
    return create_agent(model=Talkative(seed), instructions="", tools=[look])


async def prompts(ref: LocalSessionRef, count: int, rng: random.Random) -> None:
    """A person who talks and sometimes thinks before."""
    for number in range(count):
        await ref.prompt(f"message {number}")
        await breathe(rng.randrange(30))


async def reconnect(ref: LocalSessionRef, reader: Reader, rng: random.Random, work: "asyncio.Task[None]") -> None:
    """Until the work is done: connections of random length, and random times without one."""
    while not work.done():
        connection = asyncio.ensure_future(reader.connect(ref, rng.randrange(1, 12)))
        await asyncio.wait({connection, work}, return_when=asyncio.FIRST_COMPLETED)
        if not connection.done():
            await breathe(50)
            connection.cancel()
        await asyncio.gather(connection, return_exceptions=work.done())
        await breathe(rng.choice((0, 0, 1, 5, 40)))


async def finish(runtime: Runtime, ref: LocalSessionRef, reader: Reader) -> None:
    """Read what is left, and compare it all with the store."""
    entries = await runtime.store.entries(ref.key, "default")
    await reader.connect(ref, 10**6, until=Place(entries[-1].seq, 1))
    reader.check_whole(entries)


@pytest.mark.parametrize("capacity", [RING_EVENTS, 24, 5])
async def test_no_event_is_missing_or_twice_over_ten_thousand_connections(
    capacity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "Feed", partial(Feed, capacity))
    connections = snapshots = 0
    seed = 0
    while connections < 3_400:
        seed += 1
        rng = random.Random(seed)
        async with running(talking(seed)) as runtime:
            ref = runtime.ref("agent", "u1")
            work = asyncio.ensure_future(prompts(ref, 8, rng))
            readers = [Reader(random.Random(f"{seed}/{number}")) for number in range(4)]
            await asyncio.gather(*[reconnect(ref, reader, rng, work) for reader in readers])
            await work
            for reader in readers:
                await finish(runtime, ref, reader)
                connections += reader.connections
                snapshots += reader.snapshots
    assert snapshots


@virtual_time
async def test_readers_go_on_where_they_were_after_passivation() -> None:
    reader, rng = Reader(random.Random(1)), random.Random(2)
    async with running(talking(3), settings=Settings(passivate_after=60)) as runtime:
        ref = runtime.ref("agent", "u1")
        for _ in range(5):
            await reconnect(ref, reader, rng, asyncio.ensure_future(prompts(ref, 2, rng)))
            await asyncio.sleep(200)
            assert runtime.snapshot().actors.actors == ()
        await finish(runtime, ref, reader)


@virtual_time
async def test_readers_go_on_where_they_were_after_a_restart() -> None:
    store: Store = memory_store()
    for seed in range(30):
        store, reader = memory_store(), Reader(random.Random(seed))
        for life in range(4):
            rng = random.Random(f"{seed}/{life}")
            async with running(talking(100 * seed + life), store=store) as runtime:
                ref = runtime.ref("agent", "u1")
                if life == 3:
                    await ref.prompt("the last one")
                    await finish(runtime, ref, reader)
                    break
                work = asyncio.ensure_future(prompts(ref, 3, rng))
                for _ in range(4):
                    connection = asyncio.ensure_future(reader.connect(ref, rng.randrange(1, 30)))
                    await breathe(rng.randrange(60))
                    connection.cancel()
                    await asyncio.gather(connection, return_exceptions=True)
                await runtime.stop(timeout=0)
                await asyncio.gather(work, return_exceptions=True)
