import asyncio
import contextvars
import threading

import pykka
import pytest

from flue_actors.errors import (
    AbortedError,
    DeadlineExceededError,
    InternalError,
    MailboxFullError,
    OverloadedError,
)
from tests.actors.helpers import Doer, world


async def in_thread(function, *args):
    return await asyncio.to_thread(function, *args)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_storm_of_tells_from_threads_loses_nothing_and_keeps_each_thread_s_order():
    seen = {}

    def storm(ref, thread):
        for n in range(2_000):
            ref.tell((thread, n))

    class Counting(Doer):
        async def on_receive(self, message):
            thread, n = message
            seen.setdefault(thread, []).append(n)

    async with world(lambda _: Counting(), mailbox_size=100_000) as w:
        await asyncio.gather(*(in_thread(storm, w.ref(), thread) for thread in range(4)))
        await until(lambda: sum(map(len, seen.values())) == 8_000)
    assert all(numbers == list(range(2_000)) for numbers in seen.values())


async def test_an_ask_from_a_thread_is_answered_by_get():
    async with world() as w:
        assert await in_thread(lambda: w.ref().ask("x").get(timeout=10)) == "x"
        assert await in_thread(lambda: w.ref().ask("x", block=True, timeout=10)) == "x"


async def test_get_from_a_thread_raises_what_the_handler_raised_or_a_pykka_timeout():
    def fail(_):
        raise ValueError("mine")

    async with world() as w:
        with pytest.raises(ValueError, match="mine"):
            await in_thread(lambda: w.ref().ask(fail, block=True))
        gate = asyncio.Event()
        with pytest.raises(pykka.Timeout):
            await in_thread(lambda: w.ref().ask(lambda _: gate.wait()).get(timeout=0.01))
        gate.set()


async def test_the_way_in_from_threads_is_bounded():
    def flood():
        with pytest.raises(MailboxFullError):
            for n in range(20):
                w.ref().tell(n)
        flooded.append(True)

    async with world(ingress=10) as w:
        # The loop is not given a turn while the thread floods.
        flooded = []
        thread = threading.Thread(target=flood)
        thread.start()
        thread.join()
        assert flooded
        assert w.reasons == ["overflow"]
        await until(lambda: w.ref().status().served == 10)


async def test_an_overflow_behind_the_way_in_is_a_dead_letter():
    async with world(mailbox_size=1) as w:
        gate = asyncio.Event()
        running = w.ref().ask(lambda _: gate.wait())
        w.ref().tell("waits")
        await in_thread(w.ref().tell, "over")
        await until(lambda: w.reasons == ["overflow"])
        gate.set()
        await running


async def test_abort_stop_and_status_work_from_threads():
    async with world() as w:
        running = w.ref().ask(lambda _: asyncio.Event().wait())
        await asyncio.sleep(0)
        assert (await in_thread(w.ref().status)).state == "running"
        assert await in_thread(w.ref().abort) == 1
        with pytest.raises(AbortedError):
            await running
        assert await in_thread(lambda: w.ref().stop(block=True, timeout=10)) is True


async def test_a_blocking_call_runs_in_a_copy_of_the_caller_s_context_and_not_on_the_loop():
    var = contextvars.ContextVar("var", default="unset")

    def look(a, *, b):
        found = (var.get(), a, b, threading.current_thread() is threading.main_thread())
        var.set("thread")
        return found

    async with world() as w:
        var.set("caller")
        assert await w.system.run_blocking(look, 1, b=2) == ("caller", 1, 2, False)
        assert var.get() == "caller"


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (ValueError, ValueError),
        (SystemExit, InternalError),
        (KeyboardInterrupt, InternalError),
        (StopIteration, InternalError),
    ],
)
async def test_what_a_blocking_call_raises_reaches_the_caller_and_the_host_serves_on(raised, seen):
    def fail():
        raise raised

    async with world(blocking_hosts=1) as w:
        with pytest.raises(seen):
            await w.system.run_blocking(fail)
        assert await w.system.run_blocking(lambda: "alive") == "alive"
        assert w.system.snapshot().blocking.hosts == 1


async def test_a_host_past_its_deadline_is_abandoned_and_replaced():
    release = threading.Event()
    async with world(blocking_hosts=1) as w:
        with pytest.raises(DeadlineExceededError):
            await w.system.run_blocking(release.wait, timeout=0.01)
        assert w.system.snapshot().blocking.abandoned == 1
        assert await w.system.run_blocking(lambda: "replaced", timeout=10) == "replaced"
        release.set()
        await until(lambda: w.system.snapshot().blocking.abandoned == 0)
        statistics = w.system.snapshot().blocking
        assert (statistics.hosts, statistics.abandoned_total) == (1, 1)


async def test_calls_beyond_the_hosts_wait_their_turn_and_beyond_the_queue_are_refused():
    release = threading.Event()
    async with world(blocking_hosts=1, blocking_queue=1) as w:
        first = asyncio.ensure_future(w.system.run_blocking(release.wait))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(w.system.run_blocking(lambda: "second"))
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await w.system.run_blocking(lambda: "third")
        release.set()
        await first
        assert await second == "second"


async def test_a_call_that_waits_too_long_for_a_thread_gives_up_its_place():
    release = threading.Event()
    async with world(blocking_hosts=1) as w:
        first = asyncio.ensure_future(w.system.run_blocking(release.wait))
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceededError):
            await w.system.run_blocking(lambda: "never", timeout=0.01)
        assert w.system.snapshot().blocking.waiting == 0
        release.set()
        await first


async def test_an_abandoned_host_makes_room_for_who_waits():
    release = threading.Event()
    async with world(blocking_hosts=1) as w:
        first = asyncio.ensure_future(w.system.run_blocking(release.wait, timeout=0.05))
        await asyncio.sleep(0)
        assert await w.system.run_blocking(lambda: "in its place") == "in its place"
        with pytest.raises(DeadlineExceededError):
            await first
        release.set()


async def test_too_many_abandoned_hosts_refuse_further_calls():
    release = threading.Event()
    async with world(blocking_hosts=1, blocking_abandoned=2) as w:
        for _ in range(2):
            with pytest.raises(DeadlineExceededError):
                await w.system.run_blocking(release.wait, timeout=0.01)
        with pytest.raises(OverloadedError):
            await w.system.run_blocking(lambda: "x")
        release.set()
        await until(lambda: w.system.snapshot().blocking.abandoned == 0)
        assert await w.system.run_blocking(lambda: "again") == "again"


async def test_a_cancelled_caller_leaves_its_place_or_its_host_in_order():
    release = threading.Event()
    async with world(blocking_hosts=1) as w:
        running = asyncio.ensure_future(w.system.run_blocking(release.wait))
        waiting = asyncio.ensure_future(w.system.run_blocking(lambda: "never"))
        await asyncio.sleep(0)
        running.cancel()
        waiting.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        assert w.system.snapshot().blocking.waiting == 0
        release.set()
        assert await w.system.run_blocking(lambda: "served") == "served"
        assert w.system.snapshot().blocking.hosts == 1


async def test_a_blocking_call_of_a_handler_may_ask_and_tell_from_its_thread():
    async with world() as w:

        def tool():
            return w.ref("b").ask("from the tool").get(timeout=10)

        assert await w.ref("a").ask(lambda _: w.system.run_blocking(tool)) == "from the tool"


async def test_the_pool_survives_that_somebody_stops_every_pykka_actor():
    async with world() as w:
        await w.system.run_blocking(lambda: "x")
        for host in pykka.ActorRegistry.get_by_class(pykka.ThreadingActor):
            await in_thread(host.stop)
        assert await w.system.run_blocking(lambda: "y") == "y"
        assert w.system.snapshot().blocking.hosts == 1
