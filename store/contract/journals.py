"""What a running turn has come to."""

from flue_actors.storage import Admit, JournalRow
from flue_actors.store.contract.records import Make, claim, journal, opened, refused, requeue, same, settle, submission


def row(body: bytes = b"Once upon", attempt: int = 1, spent_ms: int = 20) -> JournalRow:
    """What `journal` writes."""
    return JournalRow(kind="text", name="turn_1", body=body, after=1, spent_ms=spent_ms, attempt=attempt)


async def check_a_journal_comes_back_as_it_was_written(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), Admit(submission("sub_2")), claim(), claim("sub_2"))
        same(await store.journal("sub_1"), [])
        bodies = [b"Once upon", b"", b"\x00\xff", b"x" * 100_000]
        for spent_ms, body in enumerate(bodies):
            await store.commit(fence, journal(body=body, spent_ms=spent_ms))
        await store.commit(fence, journal("sub_2"))
        same(await store.journal("sub_1"), [row(body, spent_ms=n) for n, body in enumerate(bodies)])
        same(await store.journal("sub_2"), [row()])


async def check_only_the_running_attempt_writes_the_journal(make: Make) -> None:
    async with opened(make) as (store, fence):
        await refused(store, fence, journal("nobody"))
        await store.commit(fence, Admit(submission()))
        await refused(store, fence, journal(attempt=0))
        await store.commit(fence, claim())
        await refused(store, fence, journal(attempt=2))
        await store.commit(fence, settle())
        await refused(store, fence, journal())
        same(await store.journal("sub_1"), [])


async def check_a_journal_outlives_its_attempt_and_ends_with_the_outcome(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), Admit(submission("sub_2")), claim(), claim("sub_2"))
        await store.commit(fence, journal(), journal("sub_2"))
        await store.commit(fence, claim(attempt=2), journal(attempt=2, body=b"a time"))
        await store.commit(fence, requeue(attempt=2))
        same(await store.journal("sub_1"), [row(), row(b"a time", attempt=2)])
        await store.commit(fence, settle(attempt=2))
        same(await store.journal("sub_1"), [])
        same(await store.journal("sub_2"), [row()])


async def check_a_journal_of_an_earlier_opening_ends_with_the_outcome(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), journal())
    async with opened(make) as (store, fence):
        same(await store.journal("sub_1"), [row()])
        await store.commit(fence, settle())
        same(await store.journal("sub_1"), [])
        await refused(store, fence, settle())


async def check_a_refused_settlement_leaves_the_journal(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), journal())
        await refused(store, fence, settle(), claim("nobody"))
        same(await store.journal("sub_1"), [row()])
        await store.commit(fence, settle())
        same(await store.journal("sub_1"), [])
