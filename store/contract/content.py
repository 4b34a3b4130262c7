"""What is read: entries, sessions, values."""

from flue_actors.storage import Append, PutKv
from flue_actors.store.contract.records import KEY, NOBODY, OTHER, Make, append, entry, opened, refused, same


async def check_what_nobody_stored_is_empty(make: Make) -> None:
    async with opened(make) as (store, _):
        same(await store.submission("nobody"), None)
        same(await store.unsettled(), [])
        same(await store.last_seq(KEY, "default"), 0)
        same(await store.entries(KEY, "default"), [])
        same(await store.sessions(KEY), [])
        same(await store.kv(KEY, "state"), {})
        same(await store.attachment(KEY, "nobody"), None)
        same(await store.journal("nobody"), [])
        same(await store.idle(before=9_000, after=None, limit=9), NOBODY)


async def check_entries_come_back_in_order_and_exact(make: Make) -> None:
    async with opened(make) as (store, fence):
        bodies = [b"", b"\x00\xff", '{"text":"grüße"}'.encode(), b"x" * 100_000]
        rows = [entry(n + 1, body, "sub_1" if n % 2 else None) for n, body in enumerate(bodies)]
        await store.commit(fence, Append(key=KEY, session="default", entries=tuple(rows[:3])))
        await store.commit(fence, Append(key=KEY, session="default", entries=tuple(rows[3:])))
        same(await store.entries(KEY, "default"), rows)
        same(await store.last_seq(KEY, "default"), 4)


async def check_entries_are_read_in_windows(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, append(*range(1, 11)))
        rows = [entry(seq) for seq in range(1, 11)]
        same(await store.entries(KEY, "default", after=7), rows[7:])
        same(await store.entries(KEY, "default", limit=3), rows[:3])
        same(await store.entries(KEY, "default", after=2, limit=2), rows[2:4])
        same(await store.entries(KEY, "default", after=10), [])
        same(await store.entries(KEY, "default", limit=0), [])
        same(await store.entries(KEY, "default", before=4), rows[:3])
        same(await store.entries(KEY, "default", before=9, limit=3), rows[5:8])
        same(await store.entries(KEY, "default", before=99, limit=3), rows[7:])
        same(await store.entries(KEY, "default", after=6, before=9, limit=3), rows[6:8])
        same(await store.entries(KEY, "default", before=1), [])
        same(await store.entries(KEY, "default", before=0), [])
        same(await store.entries(KEY, "default", before=5, limit=0), [])


async def check_entries_neither_overlap_nor_leave_a_gap(make: Make) -> None:
    async with opened(make) as (store, fence):
        await refused(store, fence, append(2))
        await refused(store, fence, append(0))
        same(await store.sessions(KEY), [])
        await store.commit(fence, append(1, 2))
        for wrong in (append(2), append(4), append(3, 5), append(3, 3), append(1, 2, 3)):
            await refused(store, fence, wrong)
        await store.commit(fence, append(3))
        same(await store.last_seq(KEY, "default"), 3)


async def check_entries_of_sessions_and_instances_are_apart(make: Make) -> None:
    async with opened(make) as (store, fence):
        other_session = Append(key=KEY, session="s2", entries=(entry(1, b"2"),))
        await store.commit(fence, append(1), other_session, append(1, key=OTHER))
        same(await store.entries(KEY, "s2"), [entry(1, b"2")])
        same([await store.last_seq(key, "default") for key in (KEY, OTHER)], [1, 1])


async def check_kv_holds_the_last_value(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, PutKv(key=KEY, kind="state", name="a", body=None))
        await store.commit(fence, PutKv(key=KEY, kind="state", name="a", body=b"1"))
        await store.commit(fence, PutKv(key=KEY, kind="state", name="b", body=b"2"))
        await store.commit(fence, PutKv(key=KEY, kind="state", name="a", body=b"3"))
        await store.commit(fence, PutKv(key=KEY, kind="frozen", name="a", body=b"4"))
        await store.commit(fence, PutKv(key=KEY, kind="usage", name="a", body=b"5"))
        await store.commit(fence, PutKv(key=KEY, kind="state", name="b", body=None))
        same(await store.kv(KEY, "state"), {"a": b"3"})
        same(await store.kv(KEY, "frozen"), {"a": b"4"})
        same(await store.kv(KEY, "usage"), {"a": b"5"})
        same(await store.kv(OTHER, "state"), {})
        same(await store.sessions(KEY), [])
