import asyncio

import pytest

from flue_actors.errors import AbortedError, DeadlineExceededError
from tests.actors.helpers import ask, hang, now, sleep, virtual, world


async def outcome(reply):
    try:
        return await reply
    except Exception as error:
        return type(error)


@virtual
async def test_an_abort_cancels_the_running_message_and_its_asker_gets_aborted():
    async with world() as w:
        reply = w.ref().ask(sleep(100))
        await asyncio.sleep(1)
        assert w.ref().abort(reason="user") == 1
        with pytest.raises(AbortedError) as caught:
            await reply
        assert caught.value.meta == {"reason": "user"}
        assert now() == 1


@virtual
async def test_an_abort_before_the_first_step_does_not_wedge_the_actor():
    seen = []
    async with world() as w:
        reply = w.ref().ask(lambda _: seen.append("started"))
        following = w.ref().ask("next")
        assert w.ref().abort(reason="at once") == 2
        assert await outcome(reply) is AbortedError
        assert await outcome(following) is AbortedError
        assert await w.ref().ask("alive") == "alive"
        assert w.reasons == ["aborted", "aborted"]  # the handler never saw it: somebody else has to know
    assert seen == []


@virtual
async def test_a_late_cancel_of_one_message_never_hits_the_next():
    async with world() as w:
        for rounds in range(20):
            first = w.ref().ask(sleep(1), message_id="first")
            second = w.ref().ask(sleep(1, "second"), message_id="second")
            await asyncio.sleep(1)
            for _ in range(rounds):
                await asyncio.sleep(0)
            w.ref().abort("first")
            await outcome(first)
            assert await second == "second"


@virtual
async def test_an_abort_names_one_message_running_or_waiting():
    async with world() as w:
        replies = [w.ref().ask(sleep(1, n), message_id=n) for n in range(4)]
        assert w.ref().abort(2) == 1
        assert w.ref().abort(0) == 1
        assert w.ref().abort("unknown") == 0
        assert [await outcome(reply) for reply in replies] == [AbortedError, 1, AbortedError, 3]
        assert w.reasons == ["aborted", "aborted"]


@virtual
async def test_an_abort_of_an_actor_that_is_not_in_memory_does_nothing():
    async with world() as w:
        assert w.ref().abort() == 0
        assert w.system.snapshot().actors == ()


@virtual
async def test_a_handler_that_catches_the_cancellation_and_returns_has_completed():
    async def tidy(_):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return "saved"

    async with world() as w:
        reply = w.ref().ask(tidy)
        await asyncio.sleep(1)
        w.ref().abort()
        assert await reply == "saved"


@virtual
async def test_an_error_while_being_cancelled_is_the_cause_of_the_abort_not_its_replacement():
    async def untidy(_):
        try:
            await asyncio.sleep(100)
        finally:
            raise ValueError("while cleaning up")

    async with world() as w:
        reply = w.ref().ask(untidy)
        await asyncio.sleep(1)
        w.ref().abort()
        with pytest.raises(AbortedError) as caught:
            await reply
        assert isinstance(caught.value.__cause__, ValueError)


@virtual
async def test_a_full_mailbox_never_holds_up_an_abort_or_a_stop():
    async with world(mailbox_size=2) as w:
        running = w.ref().ask(sleep(100))
        waiting = [w.ref().ask(n) for n in range(2)]
        assert w.ref().abort() == 3
        assert [await outcome(reply) for reply in (running, *waiting)] == [AbortedError] * 3
        w.ref().tell(sleep(1))
        w.ref().tell("b")
        w.ref().tell("c")
        assert await w.ref().stop() is True
        assert w.ref().status().state == "cold"


@virtual
async def test_a_handler_may_abort_itself():
    async def suicide(actor):
        actor.context.ref.abort(reason="enough")
        await asyncio.sleep(1)

    async with world() as w:
        with pytest.raises(AbortedError):
            await w.ref().ask(suicide)
        assert await w.ref().ask("alive") == "alive"


@virtual
async def test_aborting_a_message_gives_up_what_it_asked_for():
    async with world() as w:
        busy = w.ref("b").ask(sleep(50))
        outer = w.ref("a").ask(ask(w.ref("b"), "inner"))
        await asyncio.sleep(1)
        w.ref("a").abort()
        assert await outcome(outer) is AbortedError
        await busy
        await w.ref("b").ask("flush")
        assert ("b", "inner", "abandoned") in w.dropped


@virtual
async def test_an_aborted_message_that_ignores_it_is_fenced_after_the_grace():
    async with world() as w:
        stuck, following = w.ref().ask(hang), w.ref().ask("next")
        await asyncio.sleep(1)
        w.ref().abort()
        # abort() dropped what waited; what comes later waits for the grace.
        assert await outcome(following) is AbortedError
        assert await w.ref().ask("later") == "later"
        assert now() == pytest.approx(31)
        assert await outcome(stuck) is AbortedError


@virtual
async def test_a_task_cancelled_by_a_foreign_hand_before_its_first_step_is_found_by_the_sweeper():
    async with world(passivate_after=100) as w:
        reply = w.ref().ask("x")
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        assert await outcome(reply) is AbortedError
        assert now() <= 20
        assert await w.ref().ask("alive") == "alive"


@virtual
async def test_the_first_reason_for_a_cancellation_wins():
    async def slow_to_leave(_):
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(5)

    async with world() as w:
        reply = w.ref().ask(slow_to_leave, timeout=10)
        await asyncio.sleep(12)
        assert w.ref().abort() == 0
        assert await outcome(reply) is DeadlineExceededError


@virtual
async def test_an_actor_that_was_told_to_stop_leaves_even_if_its_message_has_to_be_fenced():
    async with world() as w:
        stuck = w.ref().ask(hang, timeout=1)
        await asyncio.sleep(0.5)
        stopping = w.ref().stop()
        after = w.ref().ask("after")
        assert await stopping is True
        assert now() == pytest.approx(31)
        assert await outcome(stuck) is DeadlineExceededError
        assert await after == "after"
