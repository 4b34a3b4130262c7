import asyncio
import gc
import weakref

import pytest

from flue_actors.actors import Actor
from tests.actors.helpers import Doer, Journal, hang, now, sleep, virtual, world


@virtual
async def test_an_idle_actor_leaves_memory_and_the_next_message_makes_it_anew():
    lines = []
    async with world(lambda _: Journal(lines), passivate_after=100) as w:
        await w.ref().ask("x")
        await asyncio.sleep(80)
        assert w.ref().status().state == "ready"
        await asyncio.sleep(40)
        assert w.ref().status().state == "cold"
        await w.ref().ask("y")
        assert lines == [("start", 1), ("stop", "idle"), ("start", 2)]


@virtual
async def test_use_puts_passivation_off():
    async with world(passivate_after=100) as w:
        for _ in range(10):
            await w.ref().ask("x")
            await asyncio.sleep(60)
        assert w.ref().status().epoch == 1


@virtual
async def test_an_actor_at_work_is_never_passivated():
    async with world(passivate_after=10) as w:
        assert await w.ref().ask(sleep(1000, "done")) == "done"
        assert w.ref().status().epoch == 1


@virtual
async def test_a_message_that_arrives_while_the_actor_passivates_goes_to_the_next_incarnation():
    class Slow(Journal):
        async def on_stop(self, reason):
            await asyncio.sleep(5)
            await super().on_stop(reason)

    lines = []
    async with world(lambda _: Slow(lines), passivate_after=100) as w:
        await w.ref().ask("x")
        while w.ref().status().state != "passivating":
            await asyncio.sleep(1)
        assert await w.ref().ask(lambda actor: actor.context.epoch) == 2
        assert lines[:3] == [("start", 1), ("stop", "idle"), ("start", 2)]
        assert w.dropped == []


@virtual
async def test_an_on_stop_that_hangs_is_cut_off_and_what_waits_is_handled():
    class Hanging(Doer):
        async def on_stop(self, reason):
            if self.context.epoch == 1:
                await hang(self)

    async with world(lambda _: Hanging(), stop_timeout=10, passivate_after=100) as w:
        await w.ref().ask("x")
        while w.ref().status().state != "passivating":
            await asyncio.sleep(1)
        began = now()
        assert await w.ref().ask("y") == "y"
        assert now() - began <= 41


@virtual
async def test_an_on_stop_that_raises_is_logged_and_the_actor_leaves(caplog):
    class Clumsy(Doer):
        def on_stop(self, reason):
            raise ValueError("clumsy")

    async with world(lambda _: Clumsy(), passivate_after=100) as w:
        await w.ref().ask("x")
        await asyncio.sleep(200)
        assert w.ref().status().state == "cold"
    assert "clumsy" in caplog.text


@virtual
async def test_beyond_max_active_the_least_recently_used_idle_actor_leaves():
    lines = {}

    def factory(address):
        return Journal(lines.setdefault(address.id, []))

    async with world(factory, max_active=3) as w:
        busy = w.ref("busy").ask(sleep(50))
        for id in ("old", "new", "old", "third"):
            await asyncio.sleep(1)
            await w.ref(id).ask("x")
        await asyncio.sleep(0)
        assert lines["new"][-1] == ("stop", "evicted")
        assert sorted(actor.address.id for actor in w.system.snapshot().actors) == ["busy", "old", "third"]
        await busy


@virtual
async def test_many_idle_actors_leave_in_batches_and_nothing_is_left():
    async with world(passivate_after=100) as w:
        for n in range(3_000):
            w.ref(str(n)).tell("x")
        await asyncio.sleep(150)
        snapshot = w.system.snapshot()
        assert (snapshot.actors, snapshot.left, snapshot.served) == ((), 3_000, 3_000)
        # No sweeper either: with nobody in memory the loop has no timer of ours.
        assert len(asyncio.all_tasks()) == 1


@virtual
async def test_a_passivated_actor_is_freed():
    gone = []

    class Watched(Actor):
        def on_receive(self, message):
            gone.append(weakref.ref(self))

    async with world(lambda _: Watched(), passivate_after=10) as w:
        await w.ref().ask("x")
        await asyncio.sleep(20)
        gc.collect()
        assert gone[0]() is None


@virtual
async def test_epochs_rise_over_incarnations_of_one_address():
    async with world(passivate_after=10) as w:
        epochs = []
        for _ in range(5):
            epochs.append(await w.ref().ask(lambda actor: actor.context.epoch))
            await asyncio.sleep(20)
        assert epochs == sorted(set(epochs))


@virtual
async def test_stop_lets_the_running_message_end_drops_what_waits_and_the_address_lives_on():
    lines = []
    async with world(lambda _: Journal(lines)) as w:
        running, waiting = w.ref().ask(sleep(5, "done")), w.ref().ask("dropped")
        await asyncio.sleep(1)
        stopping = w.ref().stop()
        after = w.ref().ask("after")
        with pytest.raises(Exception, match="stopped"):
            await waiting
        assert await running == "done"
        assert await stopping is True
        assert await after == "after"
        assert lines == [("start", 1), ("stop", "stopped"), ("start", 2)]
        assert w.reasons == ["stopped"]


@virtual
async def test_stopping_an_actor_that_is_not_in_memory_says_so():
    async with world() as w:
        assert await w.ref().stop() is False


@virtual
async def test_an_actor_may_stop_itself():
    async with world() as w:
        await w.ref().ask(lambda actor: actor.stop())
        await asyncio.sleep(0)
        assert w.ref().status().state == "cold"
