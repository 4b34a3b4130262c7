"""Bounds, refusals and dead letters: every message is handled or known to be dropped, once."""

import asyncio

import pytest

from flue_actors.errors import ActorStoppedError, MailboxFullError, SessionBusyError
from tests.actors.helpers import Doer, sleep, virtual, world


@virtual
async def test_a_full_mailbox_refuses_tells_and_asks_from_outside():
    async with world(mailbox_size=2) as w:
        running = w.ref().ask(sleep(5))
        for n in range(2):
            w.ref().tell(n)
        with pytest.raises(MailboxFullError):
            w.ref().tell("over")
        with pytest.raises(MailboxFullError):
            await w.ref().ask("over")
        assert w.reasons == ["overflow", "overflow"]
        await running


@virtual
async def test_a_kind_may_have_a_mailbox_of_its_own_size():
    async with world(mailbox_size=100) as w:
        w.register("small", lambda _: Doer(), mailbox_size=1)
        running = w.ref(kind="small").ask(sleep(5))
        w.ref(kind="small").tell("fits")
        with pytest.raises(MailboxFullError):
            w.ref(kind="small").tell("over")
        await running


@virtual
async def test_a_tell_from_inside_a_handler_never_raises_an_overflow_is_a_dead_letter():
    def flood(_):
        for n in range(5):
            w.ref("b").tell(n)
        return "unharmed"

    async with world(mailbox_size=2) as w:
        running = w.ref("b").ask(sleep(5))
        assert await w.ref("a").ask(flood) == "unharmed"
        assert [(id, message) for id, message, reason in w.dropped if reason == "overflow"] == [
            ("b", 2),
            ("b", 3),
            ("b", 4),
        ]
        await running


@virtual
async def test_abandoned_messages_make_room():
    async with world(mailbox_size=2) as w:
        running = w.ref().ask(sleep(5))
        given_up = [w.ref().ask(n) for n in range(2)]
        for reply in given_up:
            reply.cancel()
        assert await w.ref().ask("fits") == "fits"
        await running
        assert w.reasons == ["abandoned", "abandoned"]


@virtual
async def test_if_busy_reject_refuses_while_work_runs_or_waits():
    async with world() as w:
        assert await w.ref().ask("idle", if_busy="reject") == "idle"
        running = w.ref().ask(sleep(5))
        with pytest.raises(SessionBusyError):
            w.ref().tell("x", if_busy="reject")
        with pytest.raises(SessionBusyError):
            await w.ref().ask("x", if_busy="reject")
        await running
        assert w.reasons == ["busy", "busy"]
        assert await w.ref().ask("idle again", if_busy="reject") == "idle again"


@virtual
async def test_dead_letters_are_kept_counted_and_told():
    told = []
    async with world(mailbox_size=1, dead_letters=2) as w:
        leave = w.system.dead_letters.subscribe(told.append)
        running = w.ref().ask(sleep(5))
        w.ref().tell("waits")
        for n in range(4):
            if n == 3:
                leave()
            with pytest.raises(MailboxFullError):
                w.ref().tell(n)
        letters = w.system.dead_letters
        assert [letter.message for letter in letters.latest()] == [2, 3]
        assert letters.counts() == {"overflow": 4}
        assert len(letters) == 4
        assert [letter.message for letter in told] == [0, 1, 2]
        assert w.system.snapshot().dead_letters == {"overflow": 4}
        await running


@virtual
async def test_an_undelivered_callback_that_raises_harms_nobody(caplog):
    def clumsy(address, message, reason):
        raise ValueError("clumsy")

    async with world() as w:
        w.system.register("clumsy", lambda _: Doer(), undelivered=clumsy)
        running = w.ref(kind="clumsy").ask(sleep(5))
        with pytest.raises(SessionBusyError):
            w.ref(kind="clumsy").tell("x", if_busy="reject")
        await running
    assert "clumsy" in caplog.text


@virtual
async def test_an_undelivered_callback_may_send_again():
    resent = []

    async with world() as w:

        def resend(address, message, reason):
            resent.append(reason)
            w.ref("other").tell(lambda _: resent.append("handled"))

        w.system.register("resent", lambda _: Doer(), undelivered=resend)
        running = w.ref(kind="resent").ask(sleep(5))
        w.ref(kind="resent").tell("x", message_id=1)
        w.ref(kind="resent").abort(1)
        await running
        await asyncio.sleep(0)
    assert resent == ["aborted", "handled"]


@virtual
async def test_a_status_shows_what_runs_and_what_waits():
    async with world() as w:
        assert w.ref().status().state == "cold"
        running = w.ref().ask(sleep(5), message_id="m1")
        waiting = w.ref().ask("x")
        await asyncio.sleep(2)
        status = w.ref().status()
        assert (status.state, status.depth, status.epoch) == ("running", 1, 1)
        assert [(m.message_id, m.started_at, m.age) for m in status.running] == [("m1", 0, 2)]
        await running
        await waiting
        assert (w.ref().status().state, w.ref().status().served) == ("ready", 2)


@virtual
async def test_a_snapshot_shows_whom_a_message_waits_for_and_its_children():
    async def waiting(actor):
        actor.context.spawn(lambda _: Doer()).tell(sleep(5))
        return await w.ref("b").ask(sleep(5))

    async with world() as w:
        reply = w.ref("a").ask(waiting)
        await asyncio.sleep(1)
        snapshot = w.system.snapshot()
        (asker,) = [actor for actor in snapshot.actors if actor.address.id == "a"]
        assert [str(address) for address in asker.running[0].waiting_on] == ["doer/b"]
        assert asker.running[0].children == 1
        assert snapshot.running == 3
        await reply
        assert w.system.snapshot().running == 0


@virtual
async def test_totals_outlive_the_actors():
    async with world(passivate_after=10) as w:
        for id in "abc":
            await w.ref(id).ask("x")
        await asyncio.sleep(50)
        snapshot = w.system.snapshot()
        assert (snapshot.actors, snapshot.served, snapshot.activations, snapshot.left) == ((), 3, 3, 3)


@virtual
async def test_messages_told_to_a_dead_child_are_dead_letters():
    async with world() as w:
        ref = await w.ref().ask(lambda actor: actor.context.spawn(lambda _: Doer()))
        with pytest.raises(ActorStoppedError):
            ref.tell("too late")
        assert w.system.dead_letters.latest()[0].message == "too late"
