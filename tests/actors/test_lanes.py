import asyncio

import pytest

from flue_actors.actors import Actor
from flue_actors.errors import DeadlineExceededError, SessionBusyError
from tests.actors.helpers import hang, now, sleep, virtual, world


class Laned(Actor):
    """Messages are ``(lane, function)``."""

    on = True

    def lane_of(self, message):
        return message[0] if self.on else None

    async def on_receive(self, message):
        result = message[1](self)
        return await result if hasattr(result, "__await__") else result


@virtual
async def test_different_lanes_run_side_by_side_and_one_lane_in_order():
    ended = []

    async def work(name):
        await asyncio.sleep(1)
        ended.append((name, now()))

    async with world(lambda _: Laned()) as w:
        names = [("x", "x1"), ("x", "x2"), ("y", "y1"), ("z", "z1"), ("y", "y2")]
        await asyncio.gather(*(w.ref().ask((lane, lambda _, n=name: work(n))) for lane, name in names))
    assert ended == [("x1", 1), ("y1", 1), ("z1", 1), ("x2", 2), ("y2", 2)]


@virtual
async def test_a_message_without_a_lane_waits_for_every_lane_and_later_ones_wait_for_it():
    started = []

    def work(name):
        async def run(_):
            started.append((name, now()))
            await asyncio.sleep(1)

        return run

    async with world(lambda _: Laned()) as w:
        order = [("x", "x1"), ("y", "y1"), (None, "alone"), ("z", "z1"), ("x", "x2")]
        await asyncio.gather(*(w.ref().ask((lane, work(name))) for lane, name in order))
    assert started == [("x1", 0), ("y1", 0), ("alone", 1), ("z1", 2), ("x2", 2)]


@virtual
async def test_lanes_are_asked_again_after_reschedule_for_running_and_waiting_messages():
    started = []

    async def first(actor):
        started.append(("first", now()))
        await asyncio.sleep(1)
        actor.on = True
        actor.context.reschedule()
        await asyncio.sleep(10)

    def note(name):
        return lambda _: started.append((name, now()))

    class Learner(Laned):
        on = False

    async with world(lambda _: Learner()) as w:
        order = [("x", first), ("x", note("same lane")), ("y", note("other lane"))]
        await asyncio.gather(*(w.ref().ask(message) for message in order))
    assert started == [("first", 0), ("other lane", 1), ("same lane", 11)]


@virtual
async def test_reschedule_can_take_the_lanes_away_again():
    started = []

    async def first(actor):
        actor.on = False
        actor.context.reschedule()
        await asyncio.sleep(1)

    async with world(lambda _: Laned()) as w:
        running = w.ref().ask(("x", first))
        await asyncio.sleep(0.5)
        await w.ref().ask(("y", lambda _: started.append(now())))
        await running
    assert started == [1]


@virtual
async def test_a_fresh_actor_says_which_lanes_what_still_runs_on_the_one_before_it_is_in():
    started = []

    class Learner(Laned):
        on = False

    async def learn_and_hang(actor):
        actor.on = True
        actor.context.reschedule()
        await hang(actor)

    async with world(lambda _: Learner()) as w:
        stuck = w.ref().ask(("x", learn_and_hang), timeout=10)
        other = w.ref().ask(("y", sleep(60)))
        same = w.ref().ask(("y", lambda _: started.append(now())))
        with pytest.raises(DeadlineExceededError):
            await stuck
        await asyncio.gather(other, same)
    assert started == [60]


@virtual
async def test_if_busy_reject_looks_at_the_message_s_own_lane():
    async with world(lambda _: Laned()) as w:
        running = w.ref().ask(("x", sleep(10)))
        await asyncio.sleep(1)
        with pytest.raises(SessionBusyError):
            await w.ref().ask(("x", sleep(0)), if_busy="reject")
        assert await w.ref().ask(("y", sleep(0, "free")), if_busy="reject") == "free"
        await running


@virtual
async def test_a_lane_of_that_raises_or_is_not_hashable_means_the_message_runs_alone(caplog):
    class Broken(Laned):
        def lane_of(self, message):
            if message[0] == "raise":
                raise ValueError("no lane")
            return message[0]

    async with world(lambda _: Broken()) as w:
        await asyncio.gather(*(w.ref().ask((lane, sleep(1))) for lane in ("raise", [], "x")))
        assert now() == 3
    assert "no lane" in caplog.text
