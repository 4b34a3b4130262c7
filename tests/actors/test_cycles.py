import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.actors.deadlock import reaches
from flue_actors.errors import CallCycleError
from tests.actors.helpers import Doer, ask, now, sleep, virtual, world
from tests.actors.test_lanes import Laned


def ring(w, names):
    """A message for the first that asks the second, that asks ... that asks the first."""
    message = "end"
    for name in reversed(names):
        message = ask(w.ref(name), message)
    return message


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_a_ring_of_asks_is_refused_at_once(length):
    @virtual
    async def check():
        async with world() as w:
            names = [str(n) for n in range(length)]
            with pytest.raises(CallCycleError):
                await w.ref(names[0]).ask(ring(w, [*names[1:], names[0]]))
            assert now() == 0
            assert w.reasons == ["cycle"]

    check()


@virtual
async def test_two_actors_that_ask_each_other_independently_do_not_wait_for_ever():
    async def cross(other):
        await asyncio.sleep(1)
        return await w.ref(other).ask("hello")

    async with world() as w:
        first, second = w.ref("a").ask(lambda _: cross("b")), w.ref("b").ask(lambda _: cross("a"))
        results = await asyncio.gather(first, second, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["CallCycleError", "str"]


@virtual
async def test_a_cycle_through_messages_that_still_wait_is_found():
    async def later(_):
        await asyncio.sleep(1)
        return await w.ref("a").ask("x")

    async with world() as w:
        busy = w.ref("b").ask(later)
        asking = w.ref("a").ask(ask(w.ref("b"), "queued behind"))
        results = await asyncio.gather(busy, asking, return_exceptions=True)
    assert isinstance(results[0], CallCycleError)
    assert results[1] == "queued behind"


@virtual
async def test_a_diamond_is_no_cycle():
    async def both(_):
        return await asyncio.gather(*(w.ref(n).ask(ask(w.ref("d"), n)) for n in "bc"))

    async with world() as w:
        assert await w.ref("a").ask(both) == ["b", "c"]


@virtual
async def test_edges_end_with_the_answer_not_with_the_actor():
    async def earlier_then_slow(_):
        await w.ref("b").ask("x")
        await asyncio.sleep(10)

    async with world() as w:
        slow = w.ref("a").ask(earlier_then_slow)
        await asyncio.sleep(1)
        assert await w.ref("b").ask(ask(w.ref("a"), "waits for the slow one")) == "waits for the slow one"
        await slow


@virtual
async def test_an_attached_child_may_not_ask_the_message_that_waits_for_it():
    def spawning(actor):
        # The parent does not await the child; it still cannot settle before it.
        return actor.context.spawn(lambda _: Doer()).ask(ask(actor.context.ref, "up"))

    async with world() as w:
        with pytest.raises(CallCycleError):
            await w.ref().ask(spawning)


@virtual
async def test_a_detached_child_may():
    async def spawning(actor):
        return actor.context.spawn(lambda _: Doer(), detached=True).ask(ask(actor.context.ref, "up")).map(str)

    async with world() as w:
        kept = []
        await w.ref().ask(lambda actor: kept.append(actor.context.spawn(lambda _: Doer(), detached=True)))
        assert await kept[0].ask(ask(w.ref(), "up")) == "up"


@virtual
async def test_a_handler_may_ask_another_lane_of_its_own_actor():
    def ask_lane(lane):
        async def asking(actor):
            return await actor.context.ref.ask((lane, lambda _: "answer"))

        return asking

    async with world(lambda _: Laned()) as w:
        assert await w.ref().ask(("x", ask_lane("y"))) == "answer"
        with pytest.raises(CallCycleError):
            await w.ref().ask(("x", ask_lane("x")))


@virtual
async def test_a_cycle_through_a_message_that_waits_for_every_lane_is_found():
    async def ask_other_lane(actor):
        await asyncio.sleep(1)
        return await actor.context.ref.ask(("y", lambda _: "answer"))

    async with world(lambda _: Laned()) as w:
        asking = w.ref().ask(("x", ask_other_lane))
        barrier = w.ref().ask((None, lambda _: "alone"))
        with pytest.raises(CallCycleError):
            await asking
        assert await barrier == "alone"


@virtual
async def test_a_cycle_that_closes_because_the_actor_is_told_to_leave_is_broken():
    async def ask_other_lane(actor):
        return await actor.context.ref.ask(("y", lambda _: "never"))

    async def restart(_):
        await asyncio.sleep(1)
        raise ValueError

    class Restarting(Laned):
        def on_failure(self, exception_type, exception_value, traceback):
            return "restart" if exception_type is ValueError else None

    async with world(lambda _: Restarting()) as w:
        failing = w.ref().ask(("y", restart))
        asking = w.ref().ask(("x", ask_other_lane))
        with pytest.raises(ValueError):
            await failing
        with pytest.raises(CallCycleError):
            await asking
        assert await w.ref().ask(("x", lambda actor: actor.context.epoch)) == 2


@virtual
async def test_an_on_start_that_asks_back_is_refused():
    class Asker(Doer):
        async def on_start(self):
            await w.ref("a").ask("x")

    async with world() as w:
        w.register("asker", lambda _: Asker())
        with pytest.raises(Exception) as caught:
            await w.ref("a").ask(ask(w.ref("b", kind="asker"), "x"))
        assert isinstance(caught.value.__cause__, CallCycleError)


@virtual
async def test_a_task_left_behind_by_a_handler_counts_as_outside():
    tasks = []

    async def leaving(actor):
        async def background():
            await asyncio.sleep(5)
            return await actor.context.ref.ask("from behind")

        tasks.append(asyncio.ensure_future(background()))

    async with world() as w:
        await w.ref().ask(leaving)
        running = w.ref().ask(sleep(20))
        assert await tasks[0] == "from behind"
        await running


@given(st.dictionaries(st.integers(0, 7), st.sets(st.integers(0, 7))), st.integers(0, 7), st.integers(0, 7))
def test_reaches_agrees_with_the_transitive_closure(edges, start, goal):
    closure = {start}
    while more := {b for a in closure for b in edges.get(a, ())} - closure:
        closure |= more
    assert reaches([start], goal, lambda node: edges.get(node, ())) == (goal in closure)
