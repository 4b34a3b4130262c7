"""A submission that waits for somebody's decision."""

from flue_actors.storage import Admit, Claim, Committed, Decide, JournalRow, Prune, RequestAbort, Settle, WriteJournal
from flue_actors.store.contract.records import (
    KEY,
    NOBODY,
    OTHER,
    Make,
    append,
    claim,
    decide,
    held,
    journal,
    opened,
    refused,
    requeue,
    same,
    settle,
    submission,
    suspend,
)


def call(name: str, body: bytes = b"?", attempt: int = 1, after: int = 1) -> WriteJournal:
    """A call that needs a decision."""
    return WriteJournal(
        submission_id="sub_1", attempt=attempt, kind="approval", name=name, body=body, after=after, spent_ms=5
    )


def row(name: str, body: bytes = b"?", attempt: int = 1, after: int = 1) -> JournalRow:
    """What `call` writes."""
    return JournalRow(kind="approval", name=name, body=body, after=after, spent_ms=5, attempt=attempt)


async def check_a_suspended_attempt_waits_and_is_excused(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()))
        await refused(store, fence, suspend(attempt=0))
        await store.commit(fence, claim())
        await refused(store, fence, suspend(attempt=2))
        await refused(store, fence, suspend("nobody"))
        await store.commit(fence, suspend(spent_ms=70))
        found = await held(store)
        same((found.status, found.outcome, found.attempt, found.excused, found.spent_ms), ("waiting", None, 1, 1, 70))
        for late in (append(1, of="sub_1", attempt=1), append(of="sub_1", attempt=1), journal(), suspend(), requeue()):
            await refused(store, fence, late)
    async with opened(make) as (store, fence):
        same(await store.unsettled(), [found])


async def check_its_host_and_its_journal_stay_while_it_waits(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission("host")), Admit(submission()))
        joins = Claim(submission_id="sub_1", attempt=1, at=3_000, host="host")
        await store.commit(fence, joins, journal(), call("c1"), suspend())
        same((await held(store)).host, "host")
        text = JournalRow(kind="text", name="turn_1", body=b"Once upon", after=1, spent_ms=20, attempt=1)
        same(await store.journal("sub_1"), [text, row("c1")])


async def check_an_instance_with_something_that_waits_is_not_idle(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), suspend())
        same(await store.idle(before=9_000, after=None, limit=9), NOBODY)
        await store.commit(fence, settle())
        same(await store.idle(before=9_000, after=None, limit=9), ([KEY], None))


async def check_an_approval_has_one_row_which_a_later_one_replaces_in_its_place(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), call("c1"), call("c2"), call("c3"))
        await store.commit(fence, call("c2", b"again" * 1_000, after=4), claim(attempt=2), call("c1", b"", attempt=2))
        expected = [row("c1", b"", attempt=2), row("c2", b"again" * 1_000, after=4), row("c3")]
        same(await store.journal("sub_1"), expected)
        await refused(store, fence, call("c3", b"lost", attempt=2), call("c4", attempt=2), claim("nobody"))
        same(await store.journal("sub_1"), expected)


async def check_pieces_and_steps_of_one_name_are_rows_of_their_own(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim())
        step = WriteJournal(
            submission_id="sub_1", attempt=1, kind="step", name="turn_1", body=b"1", after=1, spent_ms=5
        )
        await store.commit(fence, journal(), journal(), step, step, call("turn_1"), call("turn_1"))
        kinds = [found.kind for found in await store.journal("sub_1")]
        same(kinds, ["text", "text", "step", "step", "approval"])


async def check_a_decision_changes_the_body_alone_and_the_last_one_resumes(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), call("c1"), call("c2"), suspend())
        await store.commit(fence, decide("c2", b"yes"))
        same(await store.journal("sub_1"), [row("c1"), row("c2", b"yes")])
        same((await held(store)).status, "waiting")
        await store.commit(fence, decide("c1", b"no" * 50_000, resume=True))
        same(await store.journal("sub_1"), [row("c1", b"no" * 50_000), row("c2", b"yes")])
        found = await held(store)
        same((found.status, found.attempt, found.excused, found.spent_ms), ("queued", 1, 1, 50))
        same([each.id for each in await store.unsettled()], ["sub_1"])


async def check_a_decision_is_refused_where_nobody_waits_for_it(make: Make) -> None:
    async with opened(make) as (store, fence):
        await refused(store, fence, decide("c1"))
        await store.commit(fence, Admit(submission()), claim(), call("c1"), journal())
        await refused(store, fence, decide("c1"))  # it runs
        await store.commit(fence, suspend())
        await refused(store, fence, decide("c2"))
        await refused(store, fence, decide("turn_1"))  # no approval
        await refused(store, fence, decide("c1", b"lost", resume=True), claim("nobody"))
        same((await store.journal("sub_1"))[0], row("c1"))
        same((await held(store)).status, "waiting")
        await store.commit(fence, decide("c1", resume=True))
        await refused(store, fence, decide("c1"))  # queued again
        await store.commit(fence, settle())
        await refused(store, fence, decide("c1"))


async def check_of_two_decisions_that_resume_one_is_taken(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), call("c1"), suspend())
        first = store.commit(fence, decide("c1", b"yes", resume=True))
        await refused(store, fence, decide("c1", b"no", resume=True))
        same(await first, Committed())
        same(await store.journal("sub_1"), [row("c1", b"yes")])


async def check_what_was_decided_goes_on_in_a_new_attempt(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), call("c1"), suspend(spent_ms=70))
    async with opened(make) as (store, fence):
        await store.commit(fence, decide("c1", b"yes", resume=True))
        await refused(store, fence, claim(attempt=1))
        await refused(store, fence, claim(attempt=3))
        await store.commit(fence, claim(attempt=2))
        found = await held(store)
        same((found.status, found.attempt, found.excused, found.spent_ms), ("running", 2, 1, 70))
        same(await store.journal("sub_1"), [row("c1", b"yes")])
        await store.commit(fence, append(1, of="sub_1", attempt=2), suspend(attempt=2, spent_ms=90))
        same(((await held(store)).excused, (await held(store)).spent_ms), (2, 90))
        await store.commit(fence, decide("c1", resume=True), claim(attempt=3), settle(attempt=3))
        same((await held(store)).outcome, "completed")
        same(await store.journal("sub_1"), [])


async def check_an_abort_is_noted_while_it_waits_and_ends_nothing(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), call("c1"), suspend())
        await store.commit(fence, RequestAbort(submission_ids=("sub_1",), reason="aborted"))
        await store.commit(fence, RequestAbort(submission_ids=("sub_1",), reason="superseded"))
        found = await held(store)
        same((found.status, found.abort), ("waiting", "aborted"))
        same(await store.journal("sub_1"), [row("c1")])


async def check_what_waits_is_settled_at_the_attempt_it_has(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), call("c1"), suspend())
        for wrong in (settle(attempt=0), settle(attempt=2)):
            await refused(store, fence, wrong)
        aborted = Settle(submission_id="sub_1", attempt=1, outcome="aborted", at=5, error=b"{}")
        await store.commit(fence, aborted)
        found = await held(store)
        same((found.status, found.outcome, found.settled_at), ("settled", "aborted", 5))
        same(await store.journal("sub_1"), [])
        same(await store.unsettled(), [])
        await refused(store, fence, settle())


async def check_what_waits_is_claimed_to_be_ended_with_entries(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), call("c1"), suspend())
        await store.commit(fence, claim(attempt=2), append(1, of="sub_1", attempt=2), settle(attempt=2))
        same(((await held(store)).outcome, await store.last_seq(KEY, "default")), ("completed", 1))


async def check_pruning_leaves_what_waits(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), call("c1"), suspend())
        await store.commit(fence, Admit(submission("sub_2", OTHER)), claim("sub_2"), settle("sub_2"))
        same(await store.commit(fence, Prune(settled_before=9_000, limit=9)), Committed(removed=1))
        same(((await held(store)).status, await store.journal("sub_1")), ("waiting", [row("c1")]))


async def check_a_decision_changes_one_submission_alone(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), call("c1"), suspend())
        await store.commit(fence, Admit(submission("sub_2")), claim("sub_2"), suspend("sub_2"))
        await refused(store, fence, Decide(submission_id="sub_2", name="c1", body=b"yes", resume=True))
        await store.commit(fence, decide("c1", resume=True))
        same([(each.id, each.status) for each in await store.unsettled()], [("sub_1", "queued"), ("sub_2", "waiting")])
