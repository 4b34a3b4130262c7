"""Opening, closing, and whose writes count."""

import asyncio

from flue_actors.errors import StoreError, StoreOwnedError
from flue_actors.storage import Admit, Committed, Fence, PutKv
from flue_actors.store.contract.records import (
    KEY,
    Make,
    append,
    claim,
    entry,
    opened,
    refused,
    same,
    settle,
    submission,
)


async def check_everything_is_there_after_opening_again(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), append(1, of="sub_1", attempt=1))
        await store.commit(fence, PutKv(key=KEY, kind="state", name="n", body=b"1"))
        before = await store.submission("sub_1")
    async with opened(make) as (store, fence):
        same(await store.unsettled(), [before])
        same(await store.entries(KEY, "default"), [entry(1, submission_id="sub_1")])
        same(await store.kv(KEY, "state"), {"n": b"1"})
        await refused(store, fence, append(1, of="sub_1", attempt=1))
        same(
            await store.commit(fence, Admit(submission("sub_2")), append(2, of="sub_1", attempt=1), settle()),
            Committed(2, 1),
        )


async def check_closing_writes_what_is_enqueued(make: Make) -> None:
    async with opened(make) as (store, fence):
        for n in range(1, 2_001):
            store.commit(fence, append(n))
    async with opened(make) as (store, _):
        same(await store.last_seq(KEY, "default"), 2_000)


async def check_closing_twice_is_fine(make: Make) -> None:
    store = make()
    await store.close()
    await store.open()
    await asyncio.gather(store.close(), store.close())
    await store.close()


async def check_a_former_owner_is_fenced(make: Make) -> None:
    async with opened(make) as (_, old):
        pass
    async with opened(make) as (store, fence):
        assert fence != old, "each opening gets an epoch of its own"
        await refused(store, old, append(1))
        await refused(store, Fence(fence.part + 1, fence.epoch), append(1))
        same(await store.last_seq(KEY, "default"), 0)


async def check_a_second_owner_is_refused(make: Make) -> None:
    async with opened(make) as (store, fence):
        try:
            await make().open()
        except StoreOwnedError:
            pass
        else:
            raise AssertionError("two owners")
        await store.commit(fence, append(1))


async def check_a_closed_store_answers_with_errors(make: Make) -> None:
    async with opened(make) as (store, fence):
        pass
    for use in (lambda: store.commit(fence, append(1)), lambda: store.submission("sub_1")):
        try:
            await use()
        except StoreError as error:
            same(error.type, "store_unavailable")
        else:
            raise AssertionError("a closed store answered")
