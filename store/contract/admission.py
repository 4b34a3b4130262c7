"""What becomes of an input before anybody works on it."""

import asyncio

from msgspec.structs import replace

from flue_actors.storage import Admit, Committed, Erase, Prune, PutKv, SessionRecord, Submission
from flue_actors.store.contract.records import (
    KEY,
    OTHER,
    Make,
    append,
    claim,
    keyed,
    opened,
    refused,
    same,
    settle,
    submission,
)


async def check_admission_ignores_how_far_the_input_had_come_elsewhere(make: Make) -> None:
    async with opened(make) as (store, fence):
        far = Submission(
            id="sub_1",
            key=KEY,
            session="default",
            kind="direct",
            payload=b"{}",
            accepted_at=1,
            seq=77,
            excused=2,
            spent_ms=9,
            host="sub_0",
            abort="aborted",
            status="settled",
            outcome="failed",
            attempt=5,
            started_at=2,
            settled_at=3,
            version="v",
            fingerprint="f",
            result=b"1",
            error=b"2",
        )
        await store.commit(fence, Admit(far))
        fresh = Submission(id="sub_1", key=KEY, session="default", kind="direct", payload=b"{}", accepted_at=1, seq=1)
        same(await store.submission("sub_1"), fresh)


async def check_admission_creates_the_session(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()))
        await store.commit(fence, Admit(submission("sub_2", session="another")))
        await store.commit(fence, append(1, 2))
        sessions = [
            SessionRecord(name="default", created_at=1_000, last_seq=2),
            SessionRecord(name="another", created_at=1_000, last_seq=0),
        ]
        same(await store.sessions(KEY), sessions)


async def check_a_known_id_is_admitted_once(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()))
        await refused(store, fence, Admit(submission(key=OTHER)))
        same(await store.sessions(OTHER), [])
        same(len(await store.unsettled()), 1)


async def check_an_admission_tells_how_far_its_session_goes(make: Make) -> None:
    async with opened(make) as (store, fence):
        same((await store.commit(fence, Admit(submission()))).last_seq, 0)
        await store.commit(fence, append(1, 2))
        same((await store.commit(fence, Admit(submission("sub_2")))).last_seq, 2)
        same((await store.commit(fence, Admit(submission("sub_3", session="another")))).last_seq, 0)


async def check_acceptance_order_is_the_order_of_the_calls(make: Make) -> None:
    async with opened(make) as (store, fence):
        names = [f"sub_{n * 7 % 50:02}" for n in range(50)]
        keys = [KEY, OTHER]
        commits = [store.commit(fence, Admit(submission(name, keys[n % 2]))) for n, name in enumerate(names)]
        seqs = [done.seq for done in await asyncio.gather(*commits)]
        same(seqs, sorted(set(seqs)))
        same([found.id for found in await store.unsettled()], names)


async def check_what_its_sender_said_is_kept(make: Make) -> None:
    async with opened(make) as (store, fence):
        new = Submission(
            id="sub_1",
            key=KEY,
            session="s",
            kind="dispatch",
            payload=b"{}",
            accepted_at=1,
            policy="steer",
            idempotency_key="order 7",
            dispatch_id="d",
            principal=b'{"subject":"u"}',
            deadline=9_000,
        )
        await store.commit(fence, Admit(new))
        same(await store.submission("sub_1"), replace(new, seq=1))


async def check_a_known_idempotency_key_names_its_submission_and_applies_nothing(make: Make) -> None:
    async with opened(make) as (store, fence):
        same(await store.commit(fence, keyed("sub_1", "k")), Committed(1, 0))
        put = PutKv(key=KEY, kind="state", name="n", body=b"1")
        same(await store.commit(fence, keyed("sub_2", "k"), append(1), put), Committed(known="sub_1"))
        same(await store.commit(fence, keyed("sub_1", "k")), Committed(known="sub_1"))
        same(await store.submission("sub_2"), None)
        same(await store.last_seq(KEY, "default"), 0)
        same(await store.kv(KEY, "state"), {})


async def check_two_that_come_with_one_key_at_once_are_one(make: Make) -> None:
    async with opened(make) as (store, fence):
        commits = [store.commit(fence, keyed(f"sub_{n}", "k"), append(1)) for n in range(10)]
        same([(done.seq, done.known) for done in await asyncio.gather(*commits)], [(1, None)] + [(0, "sub_0")] * 9)
        same(await store.last_seq(KEY, "default"), 1)


async def check_an_idempotency_key_holds_after_the_outcome_and_for_its_session_alone(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, keyed("sub_1", "k"))
        await store.commit(fence, claim(), settle())
        same((await store.commit(fence, keyed("sub_2", "k"))).known, "sub_1")
        same((await store.commit(fence, keyed("sub_2", "k", session="another"))).known, None)
        same((await store.commit(fence, keyed("sub_3", "k", OTHER))).known, None)
        same((await store.commit(fence, keyed("sub_4", "l"))).known, None)
    async with opened(make) as (store, fence):
        same((await store.commit(fence, keyed("sub_5", "k"))).known, "sub_1")


async def check_an_admission_with_an_idempotency_key_stands_first(make: Make) -> None:
    async with opened(make) as (store, fence):
        await refused(store, fence, append(1), keyed("sub_1", "k"))
        same(await store.sessions(KEY), [])


async def check_acceptance_order_rises_over_what_was_removed(make: Make) -> None:
    async with opened(make) as (store, fence):
        same((await store.commit(fence, Admit(submission("sub_1")))).seq, 1)
        await store.commit(fence, Erase(key=KEY))
        same((await store.commit(fence, Admit(submission("sub_2")))).seq, 2)
        await store.commit(fence, claim("sub_2"), settle("sub_2"))
        await store.commit(fence, Prune(settled_before=10_000, limit=10))
    async with opened(make) as (store, fence):
        same((await store.commit(fence, Admit(submission("sub_3")))).seq, 3)
        await store.commit(fence, Erase(key=KEY))
    async with opened(make) as (store, fence):
        same((await store.commit(fence, Admit(submission("sub_4")))).seq, 4)
