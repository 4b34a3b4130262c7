import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.actors import ActorLimits
from flue_actors.actors.supervision import RestartRecord, after_failure, is_forgiven
from flue_actors.errors import ActorUnavailableError, DeadlineExceededError
from tests.actors.helpers import Doer, Journal, hang, now, virtual, world


class Fragile(Doer):
    """Starts only while ``broken`` is empty; pops one breakage a start."""

    def __init__(self, broken):
        super().__init__()
        self.broken = broken

    async def on_start(self):
        await asyncio.sleep(1)
        if self.broken:
            raise self.broken.pop()


@virtual
async def test_an_on_start_that_raises_fails_everyone_who_waits_and_leaves_no_zombie(caplog):
    async with world(lambda _: Fragile([ValueError("no disk")])) as w:
        w.ref().tell("told")
        replies = [w.ref().ask(n) for n in range(3)]
        for reply in replies:
            with pytest.raises(ActorUnavailableError) as caught:
                await reply
            assert isinstance(caught.value.__cause__, ValueError)
        assert w.system.snapshot().actors == ()
        assert w.reasons == ["start_failed"] * 4
    assert "no disk" in caplog.text


@virtual
async def test_the_next_message_after_a_failed_start_starts_anew():
    broken = [ValueError()]
    async with world(lambda _: Fragile(broken)) as w:
        with pytest.raises(ActorUnavailableError):
            await w.ref().ask("x")
        assert await w.ref().ask("y") == "y"


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_factory_that_raises_is_a_failed_start(error):
    @virtual
    async def check():
        def broken(_):
            raise error

        async with world(broken) as w:
            with pytest.raises(ActorUnavailableError):
                await w.ref().ask("x")
            assert w.system.snapshot().actors == ()

    check()


@virtual
async def test_an_on_start_that_hangs_is_cut_off_and_then_fenced():
    class Hanging(Doer):
        async def on_start(self):
            await hang(self)

    async with world(lambda _: Hanging(), start_timeout=10) as w:
        with pytest.raises(ActorUnavailableError):
            await w.ref().ask("x")
        assert now() == pytest.approx(40)


@virtual
async def test_beyond_the_restart_budget_messages_are_refused_until_the_pause_is_over():
    broken = [ValueError() for _ in range(4)]
    async with world(lambda _: Fragile(broken)) as w:
        for _ in range(4):
            with pytest.raises(ActorUnavailableError):
                await w.ref().ask("x")
        assert w.system.snapshot().backing_off == 1
        with pytest.raises(ActorUnavailableError) as caught:
            w.ref().tell("refused")
        assert caught.value.retry_after is not None
        assert 0 < caught.value.retry_after <= 0.5
        assert w.reasons[-1] == "unavailable"
        await asyncio.sleep(0.5)
        assert await w.ref().ask("back") == "back"


@virtual
async def test_other_actors_of_the_kind_are_not_held_back():
    broken = [ValueError() for _ in range(4)]
    async with world(lambda address: Fragile(broken if address.id == "a" else [])) as w:
        for _ in range(4):
            with pytest.raises(ActorUnavailableError):
                await w.ref("a").ask("x")
        assert await w.ref("b").ask("fine") == "fine"


@virtual
async def test_on_failure_is_told_and_may_ask_for_a_fresh_actor():
    lines = []

    class Restarting(Journal):
        async def on_failure(self, exception_type, exception_value, traceback):
            await asyncio.sleep(1)
            self.lines.append(exception_type.__name__)
            return "restart"

    def fail(_):
        raise ValueError

    async with world(lambda _: Restarting(lines)) as w:
        failing, waiting = w.ref().ask(fail), w.ref().ask(lambda actor: actor.context.epoch)
        with pytest.raises(ValueError):
            await failing
        assert now() == 0
        assert await waiting == 2
    assert lines == [("start", 1), "ValueError", ("stop", "restarted"), ("start", 2), ("stop", "shutdown")]


@virtual
async def test_an_on_failure_that_raises_changes_nothing(caplog):
    class Clumsy(Doer):
        def on_failure(self, exception_type, exception_value, traceback):
            raise RuntimeError("clumsy")

    def fail(_):
        raise ValueError

    async with world(lambda _: Clumsy()) as w:
        with pytest.raises(ValueError):
            await w.ref().ask(fail)
        assert await w.ref().ask("alive") == "alive"
    assert "clumsy" in caplog.text


@virtual
async def test_stuck_messages_count_against_the_budget():
    async with world(restart_budget=1, restart_window=1000) as w:
        for _ in range(2):
            with pytest.raises(DeadlineExceededError):
                await w.ref().ask(hang, timeout=1)
        with pytest.raises(ActorUnavailableError):
            await w.ref().ask("x")


LIMITS = ActorLimits()


@given(st.lists(st.floats(0, 30), max_size=60), st.integers())
def test_pauses_grow_to_a_ceiling_and_never_come_within_the_budget(gaps, seed):
    rng, now, record = random.Random(seed), 0.0, RestartRecord()
    for gap in gaps:
        now += gap
        record = after_failure(record, now, LIMITS, rng)
        pause = record.until - now
        assert pause <= LIMITS.backoff_last
        if len(record.failures) <= LIMITS.restart_budget:
            assert record.pauses == 0 or pause <= LIMITS.backoff_last
        else:
            assert pause > 0


def test_the_fourth_failure_in_a_minute_pauses_half_a_second_and_each_further_one_twice_as_long():
    rng, record, pauses = random.Random(1), RestartRecord(), []
    for at in range(12):
        record = after_failure(record, float(at), LIMITS, rng)
        pauses.append(max(0.0, record.until - at))
    assert pauses[:3] == [0, 0, 0]
    for n, pause in enumerate(pauses[3:]):
        assert min(30, 0.5 * 2**n) * 0.5 <= pause <= min(30, 0.5 * 2**n)


def test_actors_that_fail_together_do_not_come_back_together():
    record = RestartRecord(failures=(1.0, 2.0, 3.0))
    assert len({after_failure(record, 4.0, LIMITS, random.Random(seed)).until for seed in range(20)}) == 20


def test_a_record_is_forgiven_when_its_window_is_over():
    record = after_failure(RestartRecord(), 10.0, LIMITS, random.Random(1))
    assert not is_forgiven(record, 69.0, LIMITS)
    assert is_forgiven(record, 70.0, LIMITS)
