import asyncio

import pytest

from flue_actors.errors import DeadlineExceededError
from tests.actors.helpers import ask, hang, now, sleep, virtual, world


@virtual
async def test_a_message_is_cancelled_at_its_deadline():
    async with world() as w:
        with pytest.raises(DeadlineExceededError):
            await w.ref().ask(sleep(100), timeout=5)
        assert now() == pytest.approx(5)


@virtual
async def test_a_message_whose_deadline_passes_while_it_waits_never_starts_and_its_asker_knows_at_once():
    seen = []
    async with world() as w:
        running = w.ref().ask(sleep(100))
        with pytest.raises(DeadlineExceededError):
            await w.ref().ask(lambda _: seen.append("started"), timeout=5)
        assert now() == pytest.approx(5)
        w.ref().tell(lambda _: seen.append("told"), deadline=now() + 1)
        await running
        await w.ref().ask("flush")
        assert w.reasons == ["expired", "expired"]
    assert seen == []


@virtual
async def test_a_message_whose_deadline_has_passed_is_refused_at_the_door():
    async with world() as w:
        with pytest.raises(DeadlineExceededError):
            w.ref().tell("late", deadline=now() - 1)
        with pytest.raises(DeadlineExceededError):
            await w.ref().ask("late", deadline=now())
        assert w.reasons == ["expired", "expired"]


@virtual
async def test_the_earlier_of_timeout_and_deadline_counts():
    async with world() as w:
        for options in ({"timeout": 3, "deadline": now() + 50}, {"timeout": 50, "deadline": now() + 6}):
            with pytest.raises(DeadlineExceededError):
                await w.ref().ask(sleep(100), **options)
        assert now() == pytest.approx(6)


@virtual
async def test_a_message_in_time_leaves_no_timer_behind():
    async with world() as w:
        await w.ref().ask("x", timeout=1000)
        await w.ref().ask(sleep(2000), timeout=3000)
        assert now() == pytest.approx(2000)


@virtual
async def test_a_stuck_message_is_fenced_after_the_grace_and_a_new_incarnation_handles_what_waits():
    fenced = []

    async def stuck(actor):
        try:
            await hang(actor)
        finally:
            fenced.append(actor.context.fenced)

    async with world() as w:
        first_epoch = await w.ref().ask(lambda actor: actor.context.epoch)
        stuck_reply = w.ref().ask(stuck, timeout=10)
        waiting = w.ref().ask(lambda actor: (now(), actor.context.epoch))
        with pytest.raises(DeadlineExceededError):
            await stuck_reply
        assert now() == pytest.approx(40)
        at, epoch = await waiting
        assert at == pytest.approx(40)
        assert epoch > first_epoch
        snapshot = w.system.snapshot()
        assert (snapshot.orphans, snapshot.fenced) == (1, 1)
        await asyncio.sleep(2000)
        assert fenced == [True]
        assert w.system.snapshot().orphans == 0


@virtual
async def test_what_an_orphan_returns_goes_nowhere():
    async with world() as w:
        reply = w.ref().ask(hang, timeout=1)
        with pytest.raises(DeadlineExceededError):
            await reply
        await asyncio.sleep(2000)
        assert w.ref().status().state == "cold"
        assert await w.ref().ask("alive") == "alive"


@virtual
async def test_an_ask_made_by_a_handler_inherits_the_deadline():
    async with world() as w:
        inner = ask(w.ref("c"), lambda actor: actor.context.deadline)
        outer = ask(w.ref("b"), inner, timeout=500)
        assert await w.ref("a").ask(outer, timeout=10) == pytest.approx(10)
        assert await w.ref("a").ask(outer, timeout=1000) == pytest.approx(500)


@virtual
async def test_a_tell_made_by_a_handler_has_a_deadline_of_its_own():
    seen = []
    async with world() as w:
        tell = lambda _: w.ref("b").tell(lambda actor: seen.append(actor.context.deadline))  # noqa: E731
        await w.ref("a").ask(tell, timeout=10)
        await w.ref("b").ask("flush")
    assert seen == [None]


@virtual
async def test_a_handler_can_give_itself_less_time():
    async def impatient(actor):
        actor.context.expire_after(3)
        await asyncio.sleep(100)

    async with world() as w:
        with pytest.raises(DeadlineExceededError):
            await w.ref().ask(impatient, timeout=50)
        assert now() == pytest.approx(3)


@virtual
async def test_other_lanes_end_undisturbed_when_one_message_is_fenced():
    from tests.actors.test_lanes import Laned

    async with world(lambda _: Laned()) as w:
        stuck = w.ref().ask(("x", hang), timeout=10)
        other = w.ref().ask(("y", sleep(60, "done")))
        same = w.ref().ask(("x", lambda actor: actor.context.epoch))
        with pytest.raises(DeadlineExceededError):
            await stuck
        assert await same == 2
        assert now() == pytest.approx(40)
        assert await other == "done"
        assert now() == pytest.approx(60)


@virtual
async def test_a_message_does_not_start_late_because_the_loop_was_blocked():
    seen = []

    def block_the_loop(_):
        asyncio.get_running_loop().advance(10)

    async with world() as w:
        w.ref().tell(block_the_loop)
        with pytest.raises(DeadlineExceededError):
            await w.ref().ask(lambda _: seen.append("late"), timeout=5)
        assert w.reasons == ["expired"]
    assert seen == []
