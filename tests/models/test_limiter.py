import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.errors import ModelError, ModelOverloadedError
from flue_actors.models.limiter import ModelLimiter
from flue_actors.testing.virtual_time import run_virtual


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_than_the_limit_run_at_once() -> None:
    limiter, running, most = ModelLimiter(3), 0, 0

    async def call() -> None:
        nonlocal running, most
        async with limiter.slot():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*[call() for _ in range(20)])
    assert most == 3
    assert limiter.statistics().started == 20
    assert limiter.statistics().running == 0


async def test_freed_slots_go_round_the_tenants() -> None:
    limiter, order = ModelLimiter(1), list[str]()

    async def call(tenant: str) -> None:
        async with limiter.slot(tenant):
            order.append(tenant)

    async with limiter.slot("first"):
        crowd = [asyncio.create_task(call("crowd")) for _ in range(5)]
        await _settle()
        single = asyncio.create_task(call("single"))
        await _settle()
        assert limiter.statistics().waiting == 6
    await asyncio.gather(*crowd, single)
    assert order.index("single") == 1


async def test_one_tenants_calls_keep_their_order() -> None:
    limiter, order = ModelLimiter(1), list[int]()

    async def call(number: int) -> None:
        async with limiter.slot("t"):
            order.append(number)

    await asyncio.gather(*[call(number) for number in range(10)])
    assert order == list(range(10))


async def test_a_cancelled_waiter_leaves_no_trace() -> None:
    limiter = ModelLimiter(1)
    async with limiter.slot():
        waiter = asyncio.create_task(limiter.acquire("t"))
        await _settle()
        waiter.cancel()
        await _settle()
        assert limiter.statistics().waiting == 0
    assert limiter.statistics().running == 0


async def test_a_waiter_cancelled_just_as_it_gets_its_slot_gives_it_back() -> None:
    limiter = ModelLimiter(1)
    await limiter.acquire("a")
    waiter = asyncio.create_task(limiter.acquire("b"))
    await _settle()
    limiter.release()
    waiter.cancel()
    await _settle()
    assert waiter.cancelled()
    assert limiter.statistics().running == 0


async def test_an_error_with_retry_after_shuts_the_gate_for_everybody() -> None:
    limiter, clock = ModelLimiter(10), asyncio.get_running_loop().time
    started = clock()
    with pytest.raises(ModelError):
        async with limiter.slot("a"):
            raise ModelError(retryable=True, retry_after=0.05)
    assert limiter.statistics().held == 1
    async with limiter.slot("b"):
        assert clock() - started >= 0.045


async def test_a_shorter_hold_does_not_shorten_a_longer_one() -> None:
    limiter, clock = ModelLimiter(1), asyncio.get_running_loop().time
    started = clock()
    limiter.hold(0.05)
    limiter.hold(0.001)
    async with limiter.slot():
        assert clock() - started >= 0.045


async def test_an_error_without_retry_after_holds_nobody() -> None:
    limiter = ModelLimiter(1)
    with pytest.raises(ModelError):
        async with limiter.slot():
            raise ModelError(retryable=True)
    async with asyncio.timeout(0.5), limiter.slot():
        pass


async def test_closing_opens_the_gate() -> None:
    limiter = ModelLimiter(1)
    limiter.hold(60)
    waiter = asyncio.create_task(limiter.acquire("t"))
    await _settle()
    limiter.close()
    await asyncio.wait_for(waiter, 0.5)


_CALLS = st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans(), st.booleans())


@given(st.lists(_CALLS, max_size=30), st.integers(1, 4))
def test_whatever_is_cancelled_every_slot_comes_back(calls: list[tuple[str, int, bool, bool]], most: int) -> None:
    async def scenario() -> None:
        limiter = ModelLimiter(most)

        async def call(tenant: str, steps: int, background: bool) -> None:
            async with limiter.slot(tenant, background=background):
                assert limiter.statistics().running <= most
                assert limiter.statistics().background_running <= max(1, most // 2)
                for _ in range(steps):
                    await asyncio.sleep(0)

        tasks: list[asyncio.Task[None]] = []
        for tenant, steps, background, cancel in calls:
            tasks.append(asyncio.create_task(call(tenant, steps, background)))
            await asyncio.sleep(0)
            if cancel:
                tasks[len(tasks) // 2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert limiter.statistics().running == limiter.statistics().waiting == 0
        assert limiter.statistics().background_running == 0

    asyncio.run(scenario())


async def test_a_background_call_waits_until_no_other_call_does() -> None:
    limiter, order = ModelLimiter(2), list[str]()

    async def call(name: str, *, background: bool) -> None:
        async with limiter.slot(background=background):
            order.append(name)

    async with limiter.slot(), limiter.slot():
        late = asyncio.create_task(call("background", background=True))
        await _settle()
        others = [asyncio.create_task(call("interactive", background=False)) for _ in range(4)]
        await _settle()
        assert (limiter.statistics().waiting, limiter.statistics().background_waiting) == (5, 1)
    await asyncio.gather(late, *others)
    assert order == ["interactive"] * 4 + ["background"]


async def test_background_calls_get_at_most_half_of_the_places() -> None:
    limiter = ModelLimiter(6)
    calls = [asyncio.create_task(limiter.acquire("t", background=True)) for _ in range(10)]
    await _settle()
    assert limiter.statistics().background_running == 3
    async with asyncio.timeout(0.5), limiter.slot(), limiter.slot(), limiter.slot():
        assert limiter.statistics().running == 6
    for call in calls:
        call.cancel()


async def test_one_place_alone_serves_background_calls_too() -> None:
    limiter = ModelLimiter(1)
    async with asyncio.timeout(0.5), limiter.slot(background=True):
        assert limiter.statistics().background_running == 1


async def test_background_calls_of_the_tenants_take_turns() -> None:
    limiter, order = ModelLimiter(2), list[str]()

    async def call(tenant: str) -> None:
        async with limiter.slot(tenant, background=True):
            order.append(tenant)

    async with limiter.slot(background=True):
        crowd = [asyncio.create_task(call("crowd")) for _ in range(5)]
        await _settle()
        single = asyncio.create_task(call("single"))
        await _settle()
    await asyncio.gather(*crowd, single)
    assert order.index("single") == 1


async def test_a_background_call_goes_on_when_the_call_it_waited_behind_gives_up() -> None:
    limiter = ModelLimiter(1)
    async with limiter.slot():
        interactive = asyncio.create_task(limiter.acquire("a"))
        background = asyncio.create_task(limiter.acquire("b", background=True))
        await _settle()
        interactive.cancel()
    await asyncio.wait_for(background, 0.5)


async def test_a_shut_gate_is_shut_for_background_calls_that_wait() -> None:
    limiter = ModelLimiter(2)
    await limiter.acquire("t", background=True)
    waiter = asyncio.create_task(limiter.acquire("t", background=True))
    await _settle()
    limiter.hold(60)
    limiter.release(background=True)
    await _settle()
    assert not waiter.done()
    limiter.close()
    await asyncio.wait_for(waiter, 0.5)


async def test_background_calls_become_more_with_their_successes() -> None:
    limiter = ModelLimiter(512)
    first = limiter.statistics().background_allowed
    for _ in range(20):
        async with limiter.slot(background=True):
            pass
    assert limiter.statistics().background_allowed == first + 5


async def test_an_overload_halves_the_background_calls_and_leaves_the_others_alone() -> None:
    limiter = ModelLimiter(512)
    before = limiter.statistics().background_allowed
    with pytest.raises(ModelOverloadedError):
        async with limiter.slot():
            raise ModelOverloadedError(retryable=True)
    assert limiter.statistics().overloaded == 1
    assert limiter.statistics().background_allowed == before // 2
    calls = [asyncio.create_task(limiter.acquire("t")) for _ in range(512)]
    await asyncio.wait_for(asyncio.gather(*calls), 0.5)


async def test_refusals_of_one_burst_halve_once() -> None:
    limiter = ModelLimiter(512)
    before = limiter.statistics().background_allowed

    async def refused() -> None:
        async with limiter.slot(background=True):
            await asyncio.sleep(0)
            raise ModelOverloadedError(retryable=True)

    await asyncio.gather(*[refused() for _ in range(4)], return_exceptions=True)
    assert limiter.statistics().overloaded == 4
    assert limiter.statistics().background_allowed == before // 2


async def test_one_background_call_is_always_allowed() -> None:
    limiter = ModelLimiter(512)
    for _ in range(20):
        with pytest.raises(ModelOverloadedError):
            async with limiter.slot(background=True):
                raise ModelOverloadedError(retryable=True)
    assert limiter.statistics().background_allowed == 1


@pytest.mark.parametrize(("capacity", "refusals"), [(5, 200), (50, 20), (100, 20), (300, 0)])
def test_5000_background_calls_find_out_what_an_account_takes_without_a_burst(capacity: int, refusals: int) -> None:
    async def scenario() -> tuple[int, float]:
        limiter, account = ModelLimiter(512), _Account(capacity)
        await asyncio.gather(*[account.answered(limiter) for _ in range(5_000)])
        return limiter.statistics().overloaded, asyncio.get_running_loop().time()

    refused, seconds = run_virtual(scenario)
    assert refused <= refusals
    assert seconds <= 60 + 2 * 5_000 / min(capacity, 256)


class _Account:
    """Takes so many calls at a time, each for a second, and refuses the others at once."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._running = 0

    async def answered(self, limiter: ModelLimiter) -> None:
        while True:
            try:
                async with limiter.slot(background=True):
                    await self._call()
                return
            except ModelOverloadedError:
                await asyncio.sleep(2)

    async def _call(self) -> None:
        if self._running == self._capacity:
            raise ModelOverloadedError(retryable=True)
        self._running += 1
        await asyncio.sleep(1)
        self._running -= 1
