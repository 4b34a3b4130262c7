"""Ends inputs where their actor cannot: dropped from the queue, fenced, erased, or left to the next start.

What was begun is left in order: its history gets what it lacks. What was not begun has its outcome in the row and in the
feed. Where the row has an outcome already, that is the one everybody is told.
"""

import logging
from contextlib import suppress
from typing import Final, Never

import msgspec

from flue_actors.agents.detached import report
from flue_actors.agents.operation import Operation
from flue_actors.clock import iso
from flue_actors.conversation.outcome import outcome_of
from flue_actors.errors import AbortedError, ActorError, FencedError, FlueError, InternalError, StoreError, TurnError
from flue_actors.events import ErrorEvent, Idle, PublicError
from flue_actors.inputs import decode_input
from flue_actors.instances.instance import Instance
from flue_actors.receipts import away, error_of, kept, result_of
from flue_actors.services import Services
from flue_actors.storage import Settle, Submission
from flue_actors.submissions import Pending
from flue_actors.turns.recording import Recording
from flue_actors.turns.reopening import patiently, reopen

logger = logging.getLogger("flue_actors.settling")

TRIES: Final = 5
"""How often something is begun again in a row because the store refused its writes."""

_encode = msgspec.json.Encoder().encode


def aborted(reason: str) -> AbortedError:
    """What an input is settled with that somebody wanted aborted."""
    return AbortedError(meta={"reason": reason})


async def settle_unworked(services: Services, pending: Pending, error: FlueError) -> None:
    """Settle it in whatever attempt it is, and end its feed. While the store is unavailable it is tried again. What cannot be
    settled, because what is stored of it cannot be read, keeps nobody waiting all the same.

    Nobody else writes to its session meanwhile: one that was begun is here because its actor was replaced, and the next
    one waits (`LiveInstance.decided`). One that was not begun has nothing in its session.
    """
    try:
        for _ in range(TRIES):
            with suppress(FencedError):  # a fenced attempt that goes on wrote something
                await _settle(services, pending, error)
                return
            pending.instance.lifetime.forget()
        raise FencedError(dev=f"refused {TRIES} times")
    except (StoreError, msgspec.DecodeError):
        logger.exception("submission %s is settled at the next start", pending.submission_id)
        _end(services, pending, error)


def tell_outcome(services: Services, pending: Pending, row: Submission | None, error: FlueError | None = None) -> None:
    """Tell everybody what the row says; where it was erased, ``error``."""
    if row is None:
        _end(services, pending, error or aborted("erased"))
    elif row.result is not None:
        pending.complete(result_of(row))
        _end_feed(services, pending, Idle())
    else:
        _end(services, pending, error_of(row))


def keep_for_next_start(services: Services, pending: Pending) -> None:
    """Leave an input in the store, and tell whoever waits for it."""
    _end(services, pending, kept(pending.submission_id, pending.offset))


def keep_for_its_agent(services: Services, pending: Pending) -> None:
    """Leave an input in the store until its agent is defined again, and tell whoever waits for it."""
    _end(services, pending, away())


def _end(services: Services, pending: Pending, error: FlueError) -> None:
    pending.fail(error)
    _end_feed(services, pending, ErrorEvent(error=PublicError.of(error)))


def _end_feed(services: Services, pending: Pending, last: Idle | ErrorEvent) -> None:
    submission = pending.submission
    event = msgspec.structs.replace(
        last,
        instance_id=submission.key.id,
        session=submission.session,
        submission_id=submission.id,
        timestamp=iso(services.clock.now_ms()),
    )
    pending.instance.feed.append(submission.id, event)


async def _settle(services: Services, pending: Pending, error: FlueError) -> None:
    """
    Raises:
        StoreError: Refused.
    """
    row = await patiently(services.store.submission, pending.submission_id)
    for each in pending.joined():  # read behind it: they are settled with it
        joined = await patiently(services.store.submission, each.submission_id)
        if joined is None or joined.status == "settled":
            tell_outcome(services, each, joined, error)
        else:
            each.reread(joined)
    if row is None or row.status == "settled":
        tell_outcome(services, pending, row, error)
        return
    pending.reread(row)
    pending.suspended = False  # it waits for nobody's decision any more: a stop that comes now is not to leave it
    if pending.resumed:
        failure = error if isinstance(error, TurnError) else InternalError(dev=repr(error))
        session, past = await reopen(services, pending.submission)
        pending.instance.place(session)
        instance = Instance(services, row.key)
        await Operation(instance, session, pending, _spawns_nothing, past).fail(failure)
        return
    shown = PublicError.of(error)
    settle = Settle(
        submission_id=row.id,
        attempt=row.attempt,
        outcome=outcome_of(error),
        at=services.clock.now_ms(),
        error=_encode(shown),
    )
    owed = report(services, pending, decode_input(row.payload), shown)
    await Recording(services, pending.pause).conclude(settle, owed=owed)
    _end(services, pending, error)


def _spawns_nothing(make: object, id: str) -> Never:
    raise ActorError("An input that is only settled gives no tasks away.")
