import asyncio

import pykka
import pytest

from flue_actors.actors import ActorLimits, ActorSystem
from flue_actors.errors import ActorStoppedError, ActorUnavailableError, InterruptedTurnError
from tests.actors.helpers import Doer, Journal, World, ask, hang, now, sleep, virtual


async def started(factory=None, **limits):
    system = ActorSystem(limits=ActorLimits(**limits))
    w = World(system)
    w.register("doer", factory or (lambda _: Doer()))
    await system.start()
    return w


@virtual
async def test_running_messages_end_waiting_ones_are_dropped_and_new_ones_refused():
    w = await started()
    running, waiting = w.ref().ask(sleep(5, "done")), w.ref().ask("waiting")
    stopping = asyncio.ensure_future(w.system.stop(timeout=10))
    await asyncio.sleep(1)
    with pytest.raises(InterruptedTurnError):
        await waiting
    with pytest.raises(ActorUnavailableError):
        w.ref("b").tell("new")
    await stopping
    assert await running == "done"
    assert now() == 5
    assert w.reasons == ["stopped", "unavailable"]


@virtual
async def test_what_running_messages_ask_for_is_still_taken():
    async def two_step(_):
        await asyncio.sleep(2)
        return await w.ref("b").ask("needed")

    w = await started()
    running = w.ref().ask(two_step)
    await w.system.stop(timeout=10)
    assert await running == "needed"


@virtual
async def test_what_running_messages_asked_for_before_the_stop_is_not_dropped():
    w = await started()
    busy = w.ref("b").ask(sleep(3))
    asking = w.ref("a").ask(ask(w.ref("b"), "queued"))
    await asyncio.sleep(1)
    await w.system.stop(timeout=10)
    await busy
    assert await asking == "queued"


@virtual
async def test_after_the_timeout_running_messages_are_cancelled():
    w = await started()
    running = w.ref().ask(sleep(100))
    await w.system.stop(timeout=10)
    assert now() == 10
    with pytest.raises(InterruptedTurnError):
        await running


@virtual
async def test_a_message_cancelled_by_the_stop_before_its_first_step_is_settled():
    w = await started()
    running = w.ref().ask("x")
    await w.system.stop(timeout=0)
    with pytest.raises(InterruptedTurnError):
        await running


@virtual
async def test_a_stop_ends_within_its_bound_whatever_the_actors_do():
    class Stubborn(Doer):
        async def on_stop(self, reason):
            await hang(self)

    w = await started(lambda _: Stubborn(), stop_grace=5)
    stuck = w.ref("a").ask(hang)
    await w.ref("b").ask("x")
    await w.system.stop(timeout=10)
    assert now() <= 20
    with pytest.raises(InterruptedTurnError):
        await stuck
    assert w.system.snapshot().actors == ()


@virtual
async def test_every_actor_leaves_through_on_stop():
    lines = []
    w = await started(lambda _: Journal(lines))
    for id in "abc":
        await w.ref(id).ask("x")
    await w.system.stop(timeout=10)
    assert lines[3:] == [("stop", "shutdown")] * 3


@virtual
async def test_a_stopped_system_refuses_for_good_and_stopping_it_again_is_harmless():
    w = await started()
    ref = w.ref()
    await w.system.stop(timeout=1)
    await w.system.stop(timeout=1)
    assert not ref.is_alive()
    with pytest.raises(ActorStoppedError):
        ref.tell("x")
    with pytest.raises(ActorStoppedError):
        await ref.ask("x")


@virtual
async def test_a_stopped_system_leaves_no_task_and_no_timer():
    w = await started()
    for n in range(10):
        await w.ref(str(n)).ask("x", timeout=1_000)
    await w.system.stop(timeout=10)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    before = now()
    await asyncio.sleep(1)
    assert now() == before + 1


@virtual
async def test_children_are_stopped_with_their_parents():
    async def spawning(actor):
        await actor.context.spawn(lambda _: Doer()).ask(sleep(100))

    w = await started()
    running = w.ref().ask(spawning)
    await asyncio.sleep(1)
    await w.system.stop(timeout=5)
    with pytest.raises(InterruptedTurnError):
        await running
    assert w.system.snapshot().actors == ()


@virtual
async def test_stopping_every_pykka_actor_stops_the_system_too():
    w = await started()
    running = w.ref().ask(sleep(5, "done"))
    (stopping,) = pykka.ActorRegistry.stop_all(block=False)
    assert await stopping is True
    assert await running == "done"
    assert not w.ref().is_alive()
    assert pykka.ActorRegistry.get_all() == []


@virtual
async def test_two_stops_at_once_both_wait_for_the_one_and_a_cancelled_stop_can_be_repeated():
    w = await started()
    running = w.ref().ask(sleep(5, "done"))
    given_up, first, second = (asyncio.ensure_future(w.system.stop(timeout=10)) for _ in range(3))
    await asyncio.sleep(1)
    given_up.cancel()
    await asyncio.gather(first, second)
    assert await running == "done"
    assert now() == 5
