"""From the claim to the outcome."""

from flue_actors.storage import Admit, Claim, Committed, RequestAbort, Settle, Submission
from flue_actors.store.contract.records import (
    KEY,
    Make,
    append,
    claim,
    held,
    journal,
    opened,
    refused,
    requeue,
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


async def check_a_new_attempt_replaces_the_running_one(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim())
        again = Claim(submission_id="sub_1", attempt=2, at=7_000, deadline=8_000, version="v2", fingerprint="f2")
        await store.commit(fence, again)
        found = await held(store)
        same((found.status, found.attempt, found.started_at, found.deadline), ("running", 2, 3_000, 8_000))
        same((found.version, found.fingerprint), ("v2", "f2"))
        for late in (append(1, of="sub_1", attempt=1), journal(), settle(), requeue()):
            await refused(store, fence, late)
        await store.commit(fence, append(1, of="sub_1", attempt=2), settle(attempt=2))


async def check_a_claim_names_the_host_it_joins(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission("host")), Admit(submission()))
        await store.commit(fence, Claim(submission_id="sub_1", attempt=1, at=3_000, host="host"))
        same((await held(store)).host, "host")
        await store.commit(fence, requeue())
        same((await held(store)).host, "host")
        await store.commit(fence, claim(attempt=2))
        same((await held(store)).host, None)


async def check_a_stopped_attempt_is_excused(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()))
        await refused(store, fence, requeue(attempt=0))
        await store.commit(fence, claim())
        await refused(store, fence, requeue(attempt=2))
        await store.commit(fence, requeue(spent_ms=70))
        found = await held(store)
        same((found.status, found.attempt, found.excused, found.spent_ms), ("queued", 1, 1, 70))
        for late in (append(1, of="sub_1", attempt=1), journal(), requeue()):
            await refused(store, fence, late)
        await store.commit(fence, claim(attempt=2), requeue(attempt=2, spent_ms=90))
        same(((await held(store)).excused, (await held(store)).spent_ms), (2, 90))
        await store.commit(fence, settle(attempt=2))
        await refused(store, fence, requeue(attempt=2))


async def check_an_abort_is_noted_once_while_there_is_no_outcome(make: Make) -> None:
    async with opened(make) as (store, fence):
        for name in ("queued", "running", "settled"):
            await store.commit(fence, Admit(submission(name)))
        await store.commit(fence, claim("running"), claim("settled"), settle("settled"))
        names = ("queued", "running", "settled", "nobody")
        await store.commit(fence, RequestAbort(submission_ids=names, reason="aborted"))
        await store.commit(fence, RequestAbort(submission_ids=names, reason="superseded"))
        same([(await held(store, name)).abort for name in names[:3]], ["aborted", "aborted", None])
        same((await held(store, "running")).status, "running")
        await store.commit(fence, append(1, of="running", attempt=1), settle("running"))
        await store.commit(fence, settle("queued", attempt=0))
        same((await held(store, "running")).abort, "aborted")
