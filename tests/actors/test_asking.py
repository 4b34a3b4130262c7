import asyncio
import contextvars
import logging

import pykka
import pytest

from flue_actors.actors import Actor, ActorRef, ActorSystem, Reply
from flue_actors.errors import ActorStoppedError, ConfigError, InternalError
from tests.actors.helpers import Doer, sleep, virtual, world


@virtual
async def test_an_ask_returns_what_the_handler_returns():
    async with world() as w:
        assert await w.ref().ask("hello") == "hello"


@virtual
async def test_a_sync_handler_answers_too():
    class Doubler(Actor):
        def on_receive(self, message):
            return message * 2

    async with world(lambda _: Doubler()) as w:
        assert await w.ref().ask(21) == 42


@virtual
async def test_messages_are_handled_one_at_a_time_and_in_order():
    running, seen = [], []

    async def work(actor, number):
        running.append(number)
        assert running == [number]
        await asyncio.sleep(1)
        seen.append(number)
        running.remove(number)

    async with world() as w:
        await asyncio.gather(*(w.ref().ask(lambda a, n=n: work(a, n)) for n in range(20)))
    assert seen == list(range(20))


@virtual
async def test_different_actors_work_side_by_side():
    async with world() as w:
        await asyncio.gather(*(w.ref(str(n)).ask(sleep(5)) for n in range(100)))
        assert asyncio.get_running_loop().time() == pytest.approx(5)


@virtual
async def test_an_actor_keeps_its_state_between_messages():
    async with world() as w:
        await w.ref().ask(lambda actor: setattr(actor, "seen", 1))
        assert await w.ref().ask(lambda actor: actor.seen) == 1


@virtual
async def test_a_failed_message_fails_only_its_sender():
    def fail(_):
        raise ValueError("mine")

    async with world() as w:
        failing, following = w.ref().ask(fail), w.ref().ask("next")
        with pytest.raises(ValueError, match="mine"):
            await failing
        assert await following == "next"
        assert w.ref().status().failed == 1
        assert w.ref().status().last_error == "ValueError"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_what_would_end_a_loop_or_look_like_a_cancellation_becomes_an_internal_error(error):
    @virtual
    async def check():
        def fail(_):
            raise error

        async with world() as w:
            with pytest.raises(InternalError) as caught:
                await w.ref().ask(fail)
            assert isinstance(caught.value.__cause__, error)
            assert await w.ref().ask("alive") == "alive"

    check()


@virtual
async def test_a_stop_iteration_of_a_sync_handler_becomes_an_internal_error():
    class Stopper(Actor):
        def on_receive(self, message):
            raise StopIteration

    async with world(lambda _: Stopper()) as w:
        with pytest.raises(InternalError):
            await w.ref().ask("x")


@pytest.mark.parametrize("error", [RecursionError, MemoryError])
def test_recursion_and_memory_errors_reach_the_asker_and_the_actor_lives_on(error):
    @virtual
    async def check():
        def fail(_):
            raise error

        async with world() as w:
            with pytest.raises(error):
                await w.ref().ask(fail)
            assert await w.ref().ask("alive") == "alive"

    check()


@virtual
async def test_a_failing_tell_is_logged_with_its_traceback_and_the_actor_lives_on(caplog):
    def fail(_):
        raise ValueError("nobody asked")

    async with world() as w:
        w.ref().tell(fail)
        assert await w.ref().ask("alive") == "alive"
    assert "nobody asked" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


@virtual
async def test_every_message_starts_from_the_system_s_context_not_from_its_sender_s_or_its_predecessor_s():
    var = contextvars.ContextVar("var", default="unset")
    var.set("system")
    seen = []

    def look(_):
        seen.append(var.get())
        var.set("handler")

    async with world() as w:
        var.set("sender")
        await asyncio.gather(w.ref().ask(look), w.ref().ask(look), w.ref("b").ask(look))
    assert seen == ["system"] * 3


@virtual
async def test_an_ask_whose_awaiter_was_cancelled_never_starts():
    seen = []
    async with world() as w:
        running = w.ref().ask(sleep(5))
        given_up = asyncio.ensure_future(_await(w.ref().ask(lambda _: seen.append("given up"))))
        await asyncio.sleep(1)
        given_up.cancel()
        await running
        await w.ref().ask("after")
        assert w.reasons == ["abandoned"]
    assert seen == []


@virtual
async def test_a_cancelled_reply_never_starts_and_one_that_started_runs_to_its_end():
    seen = []

    async def finish(_):
        await asyncio.sleep(5)
        seen.append("finished")

    async with world() as w:
        started, waiting = w.ref().ask(finish), w.ref().ask(lambda _: seen.append("never"))
        await asyncio.sleep(1)
        assert started.cancel()
        assert waiting.cancel()
        await w.ref().ask("after")
    assert seen == ["finished"]


async def _await(reply):
    return await reply


@virtual
async def test_the_types_are_pykka_s():
    async with world() as w:
        reply = w.ref().ask("x")
        assert isinstance(reply, pykka.Future)
        assert isinstance(w.ref(), pykka.ActorRef)
        assert isinstance(Doer(), pykka.Actor)
        assert issubclass(ActorStoppedError, pykka.ActorDeadError)
        await reply


@virtual
async def test_a_proxy_calls_async_methods_and_reads_and_writes_attributes():
    class Counter(Actor):
        count = 0

        async def add(self, number):
            await asyncio.sleep(1)
            self.count += number
            return self.count

        def add_now(self, number):
            self.count += number
            return self.count

    async with world(lambda _: Counter()) as w:
        proxy = w.ref().proxy()
        assert await proxy.add(2) == 2
        assert await proxy.add_now(3) == 5
        proxy.count = 10
        assert await proxy.count == 10
        proxy.add.defer(1)
        assert await proxy.count == 11


@virtual
async def test_a_proxy_of_an_actor_that_cannot_start_is_refused():
    def broken(_):
        raise ValueError

    async with world(broken) as w:
        with pytest.raises(pykka.ActorDeadError):
            w.ref().proxy()


@virtual
async def test_replies_can_be_mapped_filtered_joined_and_reduced():
    async with world() as w:
        ref = w.ref()
        assert await ref.ask(2).map(lambda x: x + 1) == 3
        assert await ref.ask([1, 2, 3]).filter(lambda x: x > 1) == [2, 3]
        assert await ref.ask(1).join(ref.ask(2), ref.ask(3)) == [1, 2, 3]
        assert await ref.ask([1, 2, 3]).reduce(lambda x, y: x + y, 10) == 16
        with pytest.raises(ZeroDivisionError):
            await ref.ask(1).map(lambda x: x / 0)


@virtual
async def test_get_on_the_loop_refuses_to_wait_for_itself():
    async with world() as w:
        reply = w.ref().ask("x")
        with pytest.raises(RuntimeError, match="await the reply"):
            reply.get()
        assert await reply == "x"
        assert reply.get() == "x"


@virtual
async def test_refs_are_addresses():
    async with world() as w:
        assert w.ref("a") == w.ref("a")
        assert w.ref("a") != w.ref("b")
        assert len({w.ref("a"), w.ref("a")}) == 1
        assert w.system.snapshot().actors == ()
        with pytest.raises(ConfigError, match="nobody"):
            w.system.ref("nobody", "a")
        with pytest.raises(ConfigError, match="doer"):
            w.register("doer", lambda _: Doer())


def test_an_actor_is_not_started_by_hand():
    with pytest.raises(ConfigError, match="Doer"):
        Doer.start()


@virtual
async def test_a_system_that_has_not_started_refuses():
    system = ActorSystem()
    system.register("doer", lambda _: Doer())
    ref = system.ref("doer", "a")
    assert isinstance(ref, ActorRef)
    assert not ref.is_alive()
    with pytest.raises(ActorStoppedError):
        ref.tell("x")
    reply = ref.ask("x")
    assert isinstance(reply, Reply)
    with pytest.raises(ActorStoppedError):
        await reply
