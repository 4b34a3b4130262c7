"""Ends inputs where their actor cannot: dropped from the queue, fenced, erased, or left to the next start.

The actor owns its session's entries, so nothing is appended here: the outcome is in the row and in the feed. Where the
row has an outcome already, that is the one everybody is told.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import msgspec

from flue_actors.clock import iso
from flue_actors.errors import (
    AbortedError,
    FencedError,
    FlueError,
    StoreError,
    StoreUnavailableError,
)
from flue_actors.events import ErrorEvent, Idle, PublicError
from flue_actors.receipts import error_of, kept, result_of
from flue_actors.recording import FIRST_PAUSE, LONGEST_PAUSE
from flue_actors.services import Services
from flue_actors.storage import Settle, Submission
from flue_actors.submissions import Pending

logger = logging.getLogger("flue_actors.settling")

P = ParamSpec("P")
T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


def aborted(reason: str) -> AbortedError:
    """What an input is settled with that somebody wanted aborted."""
    return AbortedError(meta={"reason": reason})


async def patiently(ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """The answer of the store, as soon as it can be used.

    Raises:
        StoreError: Another one than `StoreUnavailableError`.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return await ask(*args, **kwargs)
        except StoreUnavailableError:
            logger.warning("the store cannot be used; tried again in %g s", pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def settle_unworked(services: Services, pending: Pending, error: FlueError) -> None:
    """Settle the row in whatever attempt it is, and end its feed. While the store is unavailable it is tried again."""
    try:
        row = await _settle_row(services, pending, error)
    except StoreError:
        logger.exception("submission %s is settled at the next start", pending.submission_id)
        _end(services, pending, error)
        return
    if row is None:
        _end(services, pending, error)
    else:
        tell_outcome(services, pending, row)


def tell_outcome(services: Services, pending: Pending, row: Submission | None) -> None:
    """Tell everybody what the row says; None: it was erased."""
    if row is None:
        _end(services, pending, aborted("erased"))
    elif row.result is not None:
        pending.complete(result_of(row))
        _end_feed(services, pending, Idle())
    else:
        _end(services, pending, error_of(row))


def keep_for_next_start(services: Services, pending: Pending) -> None:
    """Leave an input in the store, and tell whoever waits for it."""
    _end(services, pending, kept(pending.submission_id, pending.offset))


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


async def _settle_row(services: Services, pending: Pending, error: FlueError) -> Submission | None:
    """Settle it, unless it is settled: then the row is returned.

    Raises:
        StoreError: Refused.
    """
    shown, pause = PublicError.of(error), FIRST_PAUSE
    for tries_left in (2, 1, 0):
        while True:
            try:
                row = await services.store.submission(pending.submission_id)
                if row is None or row.status == "settled":
                    return row
                settle = Settle(
                    submission_id=row.id,
                    attempt=row.attempt,
                    outcome="aborted" if isinstance(error, AbortedError) else "failed",
                    at=services.clock.now_ms(),
                    error=_encode(shown),
                )
                await services.store.commit(services.fence, settle)
                return None
            except StoreUnavailableError as unavailable:
                if services.stopping():
                    raise
                pending.pause(unavailable)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except FencedError:  # a fenced attempt that goes on may have claimed or settled it meanwhile: once each
                if not tries_left:
                    raise
                break
    return None
