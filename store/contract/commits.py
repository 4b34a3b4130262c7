"""All or none, in the order of the calls."""

import asyncio

from flue_actors.errors import FencedError
from flue_actors.ids import AgentKey
from flue_actors.storage import Admit, Committed, Op, PutKv
from flue_actors.store.contract.records import (
    KEY,
    OTHER,
    Make,
    append,
    claim,
    opened,
    refused,
    same,
    settle,
    submission,
)


async def check_a_commit_is_applied_whole_or_not_at_all(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()))
        put = PutKv(key=KEY, kind="state", name="n", body=b"1")
        new = Admit(submission("sub_2", OTHER))
        await refused(store, fence, put, new, claim(), append(1, of="sub_1", attempt=1), settle(), append(3))
        found = await store.submission("sub_1")
        assert found is not None
        same((found.status, found.attempt), ("queued", 0))
        same(await store.submission("sub_2"), None)
        same(await store.kv(KEY, "state"), {})
        same(await store.sessions(OTHER), [])
        same(await store.last_seq(KEY, "default"), 0)
        await store.commit(fence, claim(), append(1, of="sub_1", attempt=1), settle())


async def check_a_refused_commit_leaves_its_neighbours_whole(make: Make) -> None:
    async with opened(make) as (store, fence):
        commits: list[asyncio.Future[Committed]] = []
        for n in range(100):
            ops: list[Op] = [
                Admit(submission(f"sub_{n:03}", AgentKey("a", str(n)))),
                append(1, key=AgentKey("a", str(n))),
            ]
            if n % 10 == 3:
                ops.append(claim("nobody"))
            commits.append(store.commit(fence, *ops))
        outcomes = await asyncio.gather(*commits, return_exceptions=True)
        same([n for n, outcome in enumerate(outcomes) if isinstance(outcome, FencedError)], list(range(3, 100, 10)))
        kept = [f"sub_{n:03}" for n in range(100) if n % 10 != 3]
        same([waiting.id for waiting in await store.unsettled()], kept)
        last_seqs = [await store.last_seq(AgentKey("a", str(n)), "default") for n in range(100)]
        same(last_seqs, [0 if n % 10 == 3 else 1 for n in range(100)])


async def check_commits_apply_in_the_order_of_the_calls_though_nobody_awaits(make: Make) -> None:
    async with opened(make) as (store, fence):
        store.commit(fence, Admit(submission()))
        store.commit(fence, claim(), append(1, of="sub_1", attempt=1))
        store.commit(fence, append(2, 3, of="sub_1", attempt=1))
        await store.commit(fence, append(4, of="sub_1", attempt=1), settle())
        same(await store.last_seq(KEY, "default"), 4)


async def check_what_builds_on_a_refused_commit_is_refused(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()))
        store.commit(fence, claim(attempt=2), append(1, of="sub_1", attempt=2))
        await refused(store, fence, append(2, of="sub_1", attempt=2), settle(attempt=2))


async def check_a_cancelled_commit_is_written(make: Make) -> None:
    async with opened(make) as (store, fence):
        future = store.commit(fence, append(1))
        future.cancel()
        await store.commit(fence, append(2))
        same(await store.last_seq(KEY, "default"), 2)


async def check_reads_see_what_is_acknowledged(make: Make) -> None:
    async with opened(make) as (store, fence):
        for n in range(1, 51):
            await store.commit(fence, append(n))
            same(await store.last_seq(KEY, "default"), n)


async def check_statistics_count(make: Make) -> None:
    async with opened(make) as (store, fence):
        await asyncio.gather(*(store.commit(fence, Admit(submission(f"sub_{n}"))) for n in range(5)))
        await refused(store, fence, claim("nobody"))
        counted = store.statistics()
        same((counted.commits, counted.refused, counted.failed, counted.waiting), (5, 1, 0, 0))
