"""The actor core against the least a queue and a task can cost, and against pykka's threads.

Every comparison interleaves its contenders on one core and takes the median of its rounds: read the ratios, not the
absolute figures. Contenders:

* ``deque``: one long-lived task, a deque and a Future per ask. The floor.
* ``queue``: the same with `asyncio.Queue`.
* ``pykka``: `pykka.ThreadingActor`, pinned to the same core, asked by a thread that blocks.
* ``pykka_awaited``: the same, asked from the loop with a future that wakes the loop, as a server would have to.

Rates are per CPU second of this process (all its threads): on one core that is what counts, and other jobs on the
machine do not blur it.
"""

import asyncio
import contextlib
import gc
import os
import time
import tracemalloc
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from statistics import median
from typing import Any

import pykka

from flue_actors.actors import Actor, ActorLimits, ActorSystem


class Echo(Actor):
    async def on_receive(self, message: Any) -> Any:
        return message


class DequeActor:
    """A raw actor: one task, one deque, one Future per ask."""

    __slots__ = ("_loop", "_messages", "_task", "_wake")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._messages: deque[tuple[Any, asyncio.Future[Any] | None]] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._task = asyncio.create_task(self._serve())

    def ask(self, message: Any) -> asyncio.Future[Any]:
        reply = self._loop.create_future()
        self._messages.append((message, reply))
        self._notify()
        return reply

    def tell(self, message: Any) -> None:
        self._messages.append((message, None))
        self._notify()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _serve(self) -> None:
        while True:
            while self._messages:
                message, reply = self._messages.popleft()
                result = await self._receive(message)
                if reply is not None and not reply.done():
                    reply.set_result(result)
            self._wake = self._loop.create_future()
            await self._wake

    async def _receive(self, message: Any) -> Any:
        return message

    def stop(self) -> None:
        self._task.cancel()


class QueueActor:
    """A raw actor on `asyncio.Queue`."""

    __slots__ = ("_loop", "_messages", "_task")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[tuple[Any, asyncio.Future[Any] | None]] = asyncio.Queue()
        self._task = asyncio.create_task(self._serve())

    def ask(self, message: Any) -> asyncio.Future[Any]:
        reply = self._loop.create_future()
        self._messages.put_nowait((message, reply))
        return reply

    def tell(self, message: Any) -> None:
        self._messages.put_nowait((message, None))

    async def _serve(self) -> None:
        while True:
            message, reply = await self._messages.get()
            result = await self._receive(message)
            if reply is not None and not reply.done():
                reply.set_result(result)

    async def _receive(self, message: Any) -> Any:
        return message

    def stop(self) -> None:
        self._task.cancel()


class ThreadEcho(pykka.ThreadingActor):
    def on_receive(self, message: Any) -> Any:
        return message


class LoopFuture(pykka.ThreadingFuture[Any]):
    """A pykka future that an event loop can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._landed: asyncio.Future[Any] = self._loop.create_future()

    def set(self, value: Any = None) -> None:
        self._loop.call_soon_threadsafe(self._landed.set_result, value)

    def __await__(self) -> Any:
        return self._landed.__await__()


class AwaitedThreadEcho(ThreadEcho):
    _create_future = staticmethod(LoopFuture)


def run(quick: bool) -> dict[str, float]:
    """Every benchmark of this file; rates per second, memory in bytes, ratios plain."""
    results: dict[str, float] = {}
    with one_core():
        for benchmark in (ask_round_trip, asks_over_actors, tells, first_replies):
            results |= benchmark(quick)
        results |= idle_bytes(quick)
        results |= passivated_leftovers(quick)
    return results


def ask_round_trip(quick: bool) -> dict[str, float]:
    """One actor, one asker: asks a second."""
    count = 2_000 if quick else 20_000
    rounds = 3 if quick else 15

    async def compare() -> dict[str, list[float]]:
        async with echo_system() as system:
            ours = system.ref("echo", "one")
            floor, queue = DequeActor(), QueueActor()
            thread, awaited = ThreadEcho.start(), AwaitedThreadEcho.start()
            try:
                return await interleave(
                    rounds,
                    {
                        "deque": lambda: ask_all(floor.ask, count),
                        "queue": lambda: ask_all(queue.ask, count),
                        "ours": lambda: ask_all(ours.ask, count),
                        "pykka": lambda: ask_thread(thread, count // 4),
                        "pykka_awaited": lambda: ask_all(lambda n: awaited.ask(n, block=False), count // 4),
                    },
                )
            finally:
                floor.stop()
                queue.stop()
                thread.stop()
                awaited.stop(block=False)

    return named("ask_round_trip", asyncio.run(compare()))


def asks_over_actors(quick: bool) -> dict[str, float]:
    """1,000 actors, an asker each, all at once: asks a second."""
    actors, each = (1_000, 2) if quick else (1_000, 20)
    rounds = 3 if quick else 5

    async def compare() -> dict[str, list[float]]:
        async with echo_system() as system:
            ours = [system.ref("echo", str(n)) for n in range(actors)]
            floor, queue = [DequeActor() for _ in range(actors)], [QueueActor() for _ in range(actors)]
            try:
                return await interleave(
                    rounds,
                    {
                        "deque": lambda: ask_everyone([actor.ask for actor in floor], each),
                        "queue": lambda: ask_everyone([actor.ask for actor in queue], each),
                        "ours": lambda: ask_everyone([ref.ask for ref in ours], each),
                    },
                )
            finally:
                for actor in (*floor, *queue):
                    actor.stop()

    return named("asks_over_1000_actors", asyncio.run(compare()))


def tells(quick: bool) -> dict[str, float]:
    """Tells to one actor in bursts of 1,000, each burst ended by an ask: tells a second."""
    bursts = 2 if quick else 20
    rounds = 3 if quick else 5

    async def compare() -> dict[str, list[float]]:
        async with echo_system() as system:
            ours = system.ref("echo", "one")
            floor, queue = DequeActor(), QueueActor()
            try:
                return await interleave(
                    rounds,
                    {
                        "deque": lambda: tell_all(floor, bursts),
                        "queue": lambda: tell_all(queue, bursts),
                        "ours": lambda: tell_all(ours, bursts),
                    },
                )
            finally:
                floor.stop()
                queue.stop()

    return named("tell", asyncio.run(compare()))


def first_replies(quick: bool) -> dict[str, float]:
    """New actors, each made and asked once: actors a second."""
    count = 500 if quick else 5_000
    rounds = 3 if quick else 5

    async def compare() -> dict[str, list[float]]:
        async with echo_system(max_active=count * (rounds + 1)) as system:
            fresh = iter(range(count * rounds * 2))

            async def make_ours() -> int:
                for _ in range(count):
                    await system.ref("echo", str(next(fresh))).ask(1)
                return count

            return await interleave(
                rounds,
                {
                    "deque": lambda: make_raw(DequeActor, count),
                    "queue": lambda: make_raw(QueueActor, count),
                    "ours": make_ours,
                    "pykka": lambda: make_threads(count // 20),
                },
            )

    return named("spawn_and_first_reply", asyncio.run(compare()))


def idle_bytes(quick: bool) -> dict[str, float]:
    """Traced bytes of an actor in memory that handled one ask; addresses and ids included."""
    count = 10_000 if quick else 100_000

    async def measure() -> dict[str, float]:
        async with echo_system(max_active=count * 2) as system:
            await system.ref("echo", "warm").ask(1)
            ours = await traced(lambda: touch(system, count), count)
        raw: list[DequeActor] = []

        async def make() -> None:
            for _ in range(count // 10):
                raw.append(DequeActor())
                await raw[-1].ask(1)

        floor = await traced(make, count // 10)
        for actor in raw:
            actor.stop()
        return {"idle_bytes.ours": ours, "idle_bytes.deque": floor}

    return asyncio.run(measure())


def passivated_leftovers(quick: bool) -> dict[str, float]:
    """What actors touched once and passivated leave: entries, tasks, and traced bytes in all."""
    count = 10_000 if quick else 100_000

    async def measure() -> dict[str, float]:
        async with echo_system(max_active=count * 2, passivate_after=0.5) as system:
            await system.ref("echo", "warm").ask(1)
            gc.collect()
            tracemalloc.start()
            try:
                before = tracemalloc.get_traced_memory()[0]
                await touch(system, count)
                while system.snapshot().actors:
                    await asyncio.sleep(0.05)
                gc.collect()
                left = tracemalloc.get_traced_memory()[0] - before
            finally:
                tracemalloc.stop()
            return {
                "passivated.entries": float(len(system.snapshot().actors)),
                "passivated.tasks": float(len(asyncio.all_tasks()) - 1),
                "passivated.bytes": float(left),
            }

    return asyncio.run(measure())


# -- the work ---------------------------------------------------------------------------------------------------------


async def ask_all(ask: Callable[[Any], Awaitable[Any]], count: int) -> int:
    for n in range(count):
        await ask(n)
    return count


async def ask_everyone(asks: list[Callable[[Any], Awaitable[Any]]], each: int) -> int:
    await asyncio.gather(*(ask_all(ask, each) for ask in asks))
    return len(asks) * each


async def tell_all(actor: Any, bursts: int) -> int:
    for _ in range(bursts):
        for n in range(1_000):
            actor.tell(n)
        await actor.ask(0)
    return bursts * 1_000


async def make_raw(kind: Callable[[], Any], count: int) -> int:
    actors = [kind() for _ in range(count)]
    for actor in actors:
        await actor.ask(1)
    for actor in actors:
        actor.stop()
    return count


async def touch(system: ActorSystem, count: int) -> None:
    for n in range(count):
        await system.ref("echo", f"user-{n}").ask(n)


async def ask_thread(ref: "pykka.ActorRef[ThreadEcho]", count: int) -> int:
    for n in range(count):
        ref.ask(n)  # blocks: nothing else is to run meanwhile
    return count


async def make_threads(count: int) -> int:
    refs = [ThreadEcho.start() for _ in range(count)]
    for ref in refs:
        ref.ask(1)
    for ref in reversed(refs):
        ref.stop()
    return count


# -- measuring --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Pin this process to one core, where the platform can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def echo_system(*, max_active: int = 10_000, passivate_after: float = 900.0) -> ActorSystem:
    system = ActorSystem(limits=ActorLimits(max_active=max_active, passivate_after=passivate_after))
    system.register("echo", lambda _: Echo())
    return system


async def interleave(rounds: int, contenders: dict[str, Callable[[], Awaitable[int]]]) -> dict[str, list[float]]:
    """Operations a CPU second of every contender, in each of ``rounds`` rounds that take them in turn."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            gc.collect()
            began = time.process_time()
            done = await contender()
            rates[name].append(done / (time.process_time() - began))
    return rates


async def traced(work: Callable[[], Awaitable[None]], count: int) -> float:
    """Traced bytes that ``work`` leaves, per one of ``count``."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        await work()
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()


def named(benchmark: str, rounds: dict[str, list[float]]) -> dict[str, float]:
    """Median rates under the benchmark's name, with our ratio to every other contender."""
    rates = {name: median(values) for name, values in rounds.items()}
    ours = rates["ours"]
    ratios = {f"{benchmark}.ours_to_{name}": ours / rate for name, rate in rates.items() if name != "ours"}
    return {f"{benchmark}.{name}": rate for name, rate in rates.items()} | ratios


if __name__ == "__main__":
    import json
    import sys

    print(json.dumps(run("--quick" in sys.argv), indent=2))
