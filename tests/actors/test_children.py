import asyncio

import pytest

from flue_actors.errors import AbortedError, ActorError, ActorStoppedError, DeadlineExceededError, DepthLimitError
from tests.actors.helpers import Doer, Journal, hang, now, sleep, virtual, world


def child(message, **options):
    """A message that spawns a child, asks it, and returns its answer."""

    async def spawning(actor):
        return await actor.context.spawn(lambda _: Doer(), **options).ask(message)

    return spawning


@virtual
async def test_a_child_answers_its_parent_and_is_gone_when_the_message_is_over():
    async with world() as w:
        assert await w.ref().ask(child("x")) == "x"
        assert [actor.address.id for actor in w.system.snapshot().actors] == ["a"]


@virtual
async def test_a_child_of_a_registered_kind_has_the_address_it_was_given():
    async def spawning(actor):
        ref = actor.context.spawn("doer", "child-1")
        return await ref.ask(lambda child: str(child.context.address))

    async with world() as w:
        assert await w.ref().ask(spawning) == "doer/child-1"


@virtual
async def test_a_message_settles_only_after_its_children_have_finished():
    ended = []

    def spawning(actor):
        ref = actor.context.spawn(lambda _: Doer())
        for n in range(3):
            ref.tell(lambda _, n=n: _slow(ended, n))
        return "parent"

    async with world() as w:
        assert await w.ref().ask(spawning) == "parent"
        assert now() == 3
    assert ended == [0, 1, 2]


async def _slow(ended, n):
    await asyncio.sleep(1)
    ended.append(n)


@virtual
async def test_an_abort_cascades_to_children_and_grandchildren_and_they_are_joined_first():
    lines = []

    async def work(_):
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(2)
            lines.append("grandchild ended")

    async with world() as w:
        reply = w.ref().ask(child(child(work)))
        await asyncio.sleep(1)
        w.ref().abort()
        with pytest.raises(AbortedError):
            await reply
        assert now() == 3
        assert lines == ["grandchild ended"]


@virtual
async def test_a_message_that_fails_takes_its_children_along():
    async def failing(actor):
        actor.context.spawn(lambda _: Doer()).tell(sleep(100))
        await asyncio.sleep(1)
        raise ValueError("parent")

    async with world() as w:
        with pytest.raises(ValueError, match="parent"):
            await w.ref().ask(failing)
        assert now() == 1


@virtual
async def test_an_abort_while_children_are_joined_cancels_them():
    def spawning(actor):
        actor.context.spawn(lambda _: Doer()).tell(sleep(100))
        return "done"

    async with world() as w:
        reply = w.ref().ask(spawning)
        await asyncio.sleep(1)
        assert w.ref().abort() == 1
        with pytest.raises(AbortedError):
            await reply
        assert now() == 1


@virtual
async def test_a_child_that_ignores_its_cancellation_is_fenced_and_its_parent_settles():
    async with world() as w:
        with pytest.raises(DeadlineExceededError):
            await w.ref().ask(child(hang), timeout=10)
        assert now() == pytest.approx(40)
        assert w.system.snapshot().orphans == 1
        assert await w.ref().ask("alive") == "alive"


@virtual
async def test_children_inherit_the_deadline_of_the_message():
    def spawning(actor):
        ref = actor.context.spawn(lambda _: Doer())
        seen = []
        ref.tell(lambda child: seen.append(child.context.deadline))
        return seen

    async with world() as w:
        assert await w.ref().ask(spawning, timeout=10) == [10]


@virtual
async def test_a_detached_child_survives_the_message_and_its_abort():
    ended = []

    async def spawning(actor):
        actor.context.spawn(lambda _: Doer(), detached=True).tell(lambda _: _slow(ended, "background"))
        await asyncio.sleep(0.5)
        raise ValueError

    async with world() as w:
        with pytest.raises(ValueError):
            await w.ref().ask(spawning)
        assert ended == []
        await asyncio.sleep(5)
    assert ended == ["background"]


@virtual
async def test_a_detached_child_leaves_when_idle_and_its_ref_is_dead_then():
    async with world(passivate_after=100) as w:
        ref = await w.ref().ask(lambda actor: actor.context.spawn(lambda _: Doer(), detached=True))
        assert await ref.ask("x") == "x"
        await asyncio.sleep(300)
        assert not ref.is_alive()
        with pytest.raises(ActorStoppedError):
            await ref.ask("x")


@virtual
async def test_children_nest_four_deep_and_no_deeper():
    async with world() as w:
        assert await w.ref().ask(child(child(child(child("bottom"))))) == "bottom"
        with pytest.raises(DepthLimitError):
            await w.ref().ask(child(child(child(child(child("bottom"))))))


@virtual
async def test_detaching_does_not_reset_the_depth():
    async with world(max_depth=1) as w:
        with pytest.raises(DepthLimitError):
            await w.ref().ask(child(child("x", detached=True), detached=True))


@virtual
async def test_beyond_the_cap_children_wait_for_a_slot_and_start_in_turn():
    started = []

    async def work(n):
        started.append((n, now()))
        await asyncio.sleep(1)

    async def spawning(actor):
        children = [actor.context.spawn(lambda _: Doer()) for _ in range(5)]
        await asyncio.gather(*(c.ask(lambda _, n=n: work(n)) for n, c in enumerate(children)))

    async with world(max_children=2) as w:
        await w.ref().ask(spawning)
    assert started == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2)]


@virtual
async def test_idle_children_hold_no_slot():
    async def spawning(actor):
        return [await actor.context.spawn(lambda _: Doer()).ask(n) for n in range(10)]

    async with world(max_children=1) as w:
        assert await w.ref().ask(spawning) == list(range(10))


@virtual
async def test_aborting_a_message_drops_the_work_of_children_without_a_slot():
    started = []

    async def spawning(actor):
        children = [actor.context.spawn("doer", f"c{n}") for n in range(3)]
        await asyncio.gather(*(c.ask(sleep(10) if n == 0 else started.append) for n, c in enumerate(children)))

    async with world(max_children=1) as w:
        reply = w.ref().ask(spawning)
        await asyncio.sleep(1)
        w.ref().abort()
        with pytest.raises(AbortedError):
            await reply
        assert sorted(id for id, _, _ in w.dropped) == ["c1", "c2"]
        assert len(w.system.snapshot().actors) == 1
    assert started == []


@virtual
async def test_a_child_is_started_and_stopped_with_its_hooks():
    lines = []

    async def spawning(actor):
        return await actor.context.spawn(lambda _: Journal(lines)).ask("x")

    async with world() as w:
        await w.ref().ask(spawning)
    assert [line[0] for line in lines] == ["start", "stop"]
    assert lines[1] == ("stop", "parent_done")


@virtual
async def test_a_child_that_cannot_start_fails_its_askers_and_the_parent_goes_on():
    def broken(_):
        raise ValueError("no child")

    async def spawning(actor):
        with pytest.raises(ActorError):
            await actor.context.spawn(broken).ask("x")
        return "parent goes on"

    async with world() as w:
        assert await w.ref().ask(spawning) == "parent goes on"


@virtual
async def test_a_stopped_child_is_dead_for_good():
    async def spawning(actor):
        ref = actor.context.spawn(lambda _: Doer())
        await ref.ask("x")
        assert await ref.stop() is True
        with pytest.raises(ActorStoppedError):
            await ref.ask("y")
        return ref.is_alive()

    async with world() as w:
        assert await w.ref().ask(spawning) is False


@virtual
async def test_an_attached_child_needs_a_message_and_a_free_address():
    actors = []
    async with world() as w:
        await w.ref().ask(actors.append)
        with pytest.raises(ActorError, match="message"):
            actors[0].context.spawn(lambda _: Doer())
        await w.ref("taken").ask("x")
        with pytest.raises(ActorError, match="taken"):
            await w.ref().ask(lambda actor: actor.context.spawn("doer", "taken"))


@virtual
async def test_an_actor_with_children_at_work_is_not_passivated():
    def spawning(actor):
        actor.context.spawn(lambda _: Doer()).tell(sleep(500))

    async with world(passivate_after=10) as w:
        reply = w.ref().ask(spawning)
        await asyncio.sleep(400)
        assert len(w.system.snapshot().actors) == 2
        await reply


@virtual
async def test_a_child_whose_work_was_dropped_passes_its_turn_on():
    async def spawning(actor):
        children = [actor.context.spawn(lambda _: Doer()) for _ in range(3)]
        first = children[0].ask(sleep(5))
        second = children[1].ask("dropped", message_id="dropped")
        third = children[2].ask("third")
        children[1].abort("dropped")
        await first
        with pytest.raises(AbortedError):
            await second
        return await third

    async with world(max_children=1) as w:
        assert await w.ref().ask(spawning) == "third"
        assert now() == 5


@virtual
async def test_a_child_stays_attached_after_a_failed_start_and_after_a_fence():
    broken = [ValueError()]

    class Fragile(Doer):
        async def on_start(self):
            if broken:
                raise broken.pop()

    async def spawning(actor):
        ref = actor.context.spawn("fragile", "child")
        with pytest.raises(ActorError):
            await ref.ask("x")
        with pytest.raises(DeadlineExceededError):
            await ref.ask(hang, timeout=1)
        await ref.ask(sleep(100))

    async with world() as w:
        w.register("fragile", lambda _: Fragile())
        reply = w.ref().ask(spawning)
        await asyncio.sleep(40)
        w.ref().abort()
        with pytest.raises(AbortedError):
            await reply
        assert now() == 40
        assert len(w.system.snapshot().actors) == 1


@virtual
async def test_idle_children_are_kept_while_their_parent_works():
    async def spawning(actor):
        ref = actor.context.spawn(lambda _: Doer())
        await ref.ask(lambda child: setattr(child, "seen", "kept"))
        await asyncio.sleep(500)
        return await ref.ask(lambda child: child.seen)

    async with world(passivate_after=10, max_active=2) as w:
        reply = w.ref().ask(spawning)
        await asyncio.sleep(1)
        for n in range(5):
            await w.ref(str(n)).ask("x")
        assert await reply == "kept"


@virtual
async def test_a_restarted_child_gives_its_slot_back():
    class Restarting(Doer):
        def on_failure(self, exception_type, exception_value, traceback):
            return "restart"

    def fail(_):
        raise ValueError

    async def spawning(actor):
        first, second = (actor.context.spawn(lambda _: Restarting()) for _ in range(2))
        with pytest.raises(ValueError):
            await first.ask(fail)
        return await second.ask("second"), await first.ask("first")

    async with world(max_children=1) as w:
        assert await w.ref().ask(spawning, timeout=50) == ("second", "first")
