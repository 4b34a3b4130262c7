import asyncio

from hypothesis import given
from hypothesis import strategies as st

from flue_actors.pacing import Pacer


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class _Work:
    """Turns that end when they are told to, and the order in which they began."""

    def __init__(self, limit: int) -> None:
        self.pacer = Pacer(limit)
        self.begun: list[str] = []
        self.end = asyncio.Event()

    async def turn(self, key: str, *, hurry: bool = False) -> None:
        async with self.pacer.turn(key, hurry=hurry):
            self.begun.append(key)
            await self.end.wait()

    async def start(self, *keys: str) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.turn(key)) for key in keys]
        await _settle()
        return tasks


async def test_no_more_than_the_limit_work_at_a_time() -> None:
    work = _Work(2)
    tasks = await work.start("a", "b", "c", "d")
    assert work.begun == ["a", "b"]
    assert (work.pacer.statistics().working, work.pacer.statistics().waiting) == (2, 2)
    work.end.set()
    await asyncio.gather(*tasks)
    assert work.pacer.statistics().working == 0


async def test_who_waits_is_served_in_the_order_of_coming() -> None:
    work = _Work(1)
    tasks = await work.start("a", "b", "c", "d")
    work.end.set()
    await asyncio.gather(*tasks)
    assert work.begun == ["a", "b", "c", "d"]


async def test_a_hurried_key_goes_ahead_of_the_others_and_beyond_the_limit() -> None:
    work = _Work(1)
    tasks = await work.start("a", "b", "c")
    work.pacer.hurry("c")
    await _settle()
    assert work.begun == ["a", "c"]
    assert work.pacer.statistics().hurried == 1
    work.end.set()
    await asyncio.gather(*tasks)


async def test_all_turns_of_a_hurried_key_go_ahead() -> None:
    work = _Work(1)
    tasks = await work.start("a", "b", "c", "c")
    work.pacer.hurry("c")
    await _settle()
    assert work.begun == ["a", "c", "c"]
    work.end.set()
    await asyncio.gather(*tasks)


async def test_a_turn_that_comes_in_a_hurry_does_not_wait() -> None:
    work = _Work(1)
    tasks = await work.start("a", "b")
    late = asyncio.create_task(work.turn("late", hurry=True))
    await _settle()
    assert work.begun == ["a", "late"]
    work.end.set()
    await asyncio.gather(*tasks, late)


async def test_hurrying_a_key_that_nobody_waits_with_does_nothing() -> None:
    work = _Work(1)
    work.pacer.hurry("a")
    tasks = await work.start("b", "a")
    assert work.begun == ["b"]
    work.end.set()
    await asyncio.gather(*tasks)


async def test_places_beyond_the_limit_are_not_given_on() -> None:
    work = _Work(1)
    tasks = await work.start("a", "b", "c")
    work.pacer.hurry("b")
    await _settle()
    tasks[0].cancel()
    await _settle()
    assert work.begun == ["a", "b"]
    tasks[1].cancel()
    await _settle()
    assert work.begun == ["a", "b", "c"]
    tasks[2].cancel()


async def test_a_cancelled_waiter_leaves_no_trace() -> None:
    work = _Work(1)
    tasks = await work.start("a", "b")
    tasks[1].cancel()
    await _settle()
    assert work.pacer.statistics().waiting == 0
    work.end.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert work.pacer.statistics().working == 0


async def test_a_waiter_cancelled_just_as_it_gets_its_place_gives_it_back() -> None:
    work = _Work(1)
    tasks = await work.start("a", "b")
    work.pacer.hurry("b")
    tasks[1].cancel()
    await _settle()
    assert work.begun == ["a"]
    assert work.pacer.statistics().working == 1
    tasks[0].cancel()


_STEPS = st.tuples(st.sampled_from(["come", "cancel", "hurry"]), st.sampled_from("abc"), st.integers(0, 3))


@given(st.lists(_STEPS, max_size=30), st.integers(1, 3))
def test_whatever_is_hurried_and_cancelled_every_place_comes_back(
    steps: list[tuple[str, str, int]], limit: int
) -> None:
    async def scenario() -> None:
        pacer = Pacer(limit)

        async def turn(key: str, ticks: int) -> None:
            async with pacer.turn(key):
                for _ in range(ticks):
                    await asyncio.sleep(0)

        tasks: list[asyncio.Task[None]] = []
        for what, key, number in steps:
            if what == "come":
                tasks.append(asyncio.create_task(turn(key, number)))
            elif what == "hurry":
                pacer.hurry(key)
            elif tasks:
                tasks[number % len(tasks)].cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert pacer.statistics().working == pacer.statistics().waiting == 0

    asyncio.run(scenario())
