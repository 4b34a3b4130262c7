"""One check per sentence of the contract."""

import asyncio
from typing import Final

from flue_actors.errors import FencedError, StoreError, StoreOwnedError
from flue_actors.ids import AgentKey
from flue_actors.storage import (
    Admit,
    Append,
    Committed,
    Fence,
    Op,
    PutKv,
    SessionRecord,
    Settle,
    Submission,
)
from flue_actors.store.contract.records import (
    KEY,
    OTHER,
    Check,
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


async def check_an_input_runs_from_admission_to_its_outcome(make: Make) -> None:
    async with opened(make) as (store, fence):
        new = Submission(
            id="sub_1",
            key=KEY,
            session="s",
            kind="dispatch",
            payload=b"{}",
            accepted_at=1,
            dispatch_id="d",
            principal=b'{"subject":"u"}',
        )
        same(await store.commit(fence, Admit(new)), Committed(1, 0))
        await store.commit(fence, claim())
        running = await store.submission("sub_1")
        assert running is not None
        same((running.status, running.attempt, running.started_at, running.deadline), ("running", 1, 3_000, 9_000))
        await store.commit(fence, settle())
        expected = Submission(
            id="sub_1",
            key=KEY,
            session="s",
            kind="dispatch",
            payload=b"{}",
            accepted_at=1,
            seq=1,
            status="settled",
            outcome="completed",
            attempt=1,
            dispatch_id="d",
            principal=b'{"subject":"u"}',
            started_at=3_000,
            settled_at=4_000,
            deadline=9_000,
            version="v1",
            fingerprint="f1",
            result=b'"done"',
        )
        same(await store.submission("sub_1"), expected)


async def check_what_nobody_stored_is_empty(make: Make) -> None:
    async with opened(make) as (store, _):
        same(await store.submission("nobody"), None)
        same(await store.unsettled(), [])
        same(await store.last_seq(KEY, "default"), 0)
        same(await store.entries(KEY, "default"), [])
        same(await store.sessions(KEY), [])
        same(await store.kv(KEY, "state"), {})


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


async def check_unsettled_lists_queued_and_running(make: Make) -> None:
    async with opened(make) as (store, fence):
        for name in ("sub_3", "sub_1", "sub_2"):
            await store.commit(fence, Admit(submission(name)))
        await store.commit(fence, claim("sub_1"), settle("sub_1"))
        await store.commit(fence, claim("sub_2"))
        found = [(waiting.id, waiting.status) for waiting in await store.unsettled()]
        same(found, [("sub_3", "queued"), ("sub_2", "running")])


async def check_a_claim_is_granted_once_and_in_turn(make: Make) -> None:
    async with opened(make) as (store, fence):
        await refused(store, fence, claim("nobody"))
        await store.commit(fence, Admit(submission()))
        await refused(store, fence, claim(attempt=2))
        await store.commit(fence, claim())
        await refused(store, fence, claim())
        await refused(store, fence, claim(attempt=3))
        await store.commit(fence, claim(attempt=2))
        await store.commit(fence, settle(attempt=2))
        await refused(store, fence, claim(attempt=3))


async def check_an_outcome_is_settled_once(make: Make) -> None:
    async with opened(make) as (store, fence):
        await refused(store, fence, settle("nobody"))
        await store.commit(fence, Admit(submission()), claim())
        await refused(store, fence, settle(attempt=2))
        await refused(store, fence, settle(attempt=0))
        await store.commit(fence, settle())
        await refused(store, fence, settle())


async def check_a_queued_input_settles_unclaimed(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()))
        aborted = Settle(submission_id="sub_1", attempt=0, outcome="aborted", at=5, error=b'{"type":"aborted"}')
        await store.commit(fence, aborted)
        found = await store.submission("sub_1")
        assert found is not None
        same((found.outcome, found.error, found.attempt), ("aborted", b'{"type":"aborted"}', 0))
        await refused(store, fence, claim())


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


async def check_only_the_running_attempt_appends(make: Make) -> None:
    async with opened(make) as (store, fence):
        await refused(store, fence, append(1, of="nobody", attempt=1))
        await store.commit(fence, Admit(submission()))
        await refused(store, fence, append(1, of="sub_1", attempt=0))
        await store.commit(fence, claim())
        await refused(store, fence, append(1, of="sub_1", attempt=2))
        await store.commit(fence, append(1, of="sub_1", attempt=1))
        await store.commit(fence, settle())
        await refused(store, fence, append(2, of="sub_1", attempt=1))
        await refused(store, fence, append(of="sub_1", attempt=1))
        same(await store.last_seq(KEY, "default"), 1)


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


async def check_kv_holds_the_last_value(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, PutKv(key=KEY, kind="state", name="a", body=None))
        await store.commit(fence, PutKv(key=KEY, kind="state", name="a", body=b"1"))
        await store.commit(fence, PutKv(key=KEY, kind="state", name="b", body=b"2"))
        await store.commit(fence, PutKv(key=KEY, kind="state", name="a", body=b"3"))
        await store.commit(fence, PutKv(key=KEY, kind="frozen", name="a", body=b"4"))
        await store.commit(fence, PutKv(key=KEY, kind="state", name="b", body=None))
        same(await store.kv(KEY, "state"), {"a": b"3"})
        same(await store.kv(KEY, "frozen"), {"a": b"4"})
        same(await store.kv(OTHER, "state"), {})
        same(await store.sessions(KEY), [])


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


async def check_statistics_count(make: Make) -> None:
    async with opened(make) as (store, fence):
        await asyncio.gather(*(store.commit(fence, Admit(submission(f"sub_{n}"))) for n in range(5)))
        await refused(store, fence, claim("nobody"))
        counted = store.statistics()
        same((counted.commits, counted.refused, counted.failed, counted.waiting), (5, 1, 0, 0))


CHECKS: Final[tuple[Check, ...]] = tuple(
    value for name, value in sorted(globals().items()) if name.startswith("check_")
)
"""Every check above."""
