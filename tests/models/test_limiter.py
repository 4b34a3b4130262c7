import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.errors import ModelError
from flue_actors.models.limiter import ModelLimiter


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


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=30), st.integers(1, 4))
def test_whatever_is_cancelled_every_slot_comes_back(calls: list[tuple[str, int, bool]], most: int) -> None:
    async def scenario() -> None:
        limiter = ModelLimiter(most)

        async def call(tenant: str, steps: int) -> None:
            async with limiter.slot(tenant):
                assert limiter.statistics().running <= most
                for _ in range(steps):
                    await asyncio.sleep(0)

        tasks: list[asyncio.Task[None]] = []
        for tenant, steps, cancel in calls:
            tasks.append(asyncio.create_task(call(tenant, steps)))
            await asyncio.sleep(0)
            if cancel:
                tasks[len(tasks) // 2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert limiter.statistics().running == limiter.statistics().waiting == 0

    asyncio.run(scenario())
