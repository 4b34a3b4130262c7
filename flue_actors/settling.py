"""Settles inputs whose actor could not: dropped from the queue, fenced, or cut off by a failing store.

The actor owns its session's entries, so nothing is appended here: the outcome is in the row and in the feed. Where the
row has an outcome already, that is the one everybody is told.
"""

import logging

import msgspec

from flue_actors.clock import iso
from flue_actors.errors import FencedError, FlueError, InterruptedTurnError, StoreError
from flue_actors.events import ErrorEvent, Idle, PromptResult, PublicError
from flue_actors.services import Services
from flue_actors.storage import Settle, Submission
from flue_actors.submissions import Pending

logger = logging.getLogger("flue_actors.settling")

_encode = msgspec.json.Encoder().encode
_decode_result = msgspec.json.Decoder(PromptResult).decode


async def settle_unworked(services: Services, pending: Pending, error: FlueError) -> None:
    """Settle the row in whatever attempt it is, and end its feed.

    A store that refuses is logged: the row is settled at the next start.
    """
    shown = PublicError.of(error)
    try:
        row = await _settle_row(services, pending.submission_id, shown)
    except StoreError:
        logger.exception("submission %s is settled at the next start", pending.submission_id)
        row = None
    if row is not None and row.result is not None:
        pending.complete(_decode_result(row.result))
        last = Idle()
    else:
        pending.fail(error)
        last = ErrorEvent(error=shown)
    _end_feed(services, pending, last)


def keep_for_next_start(services: Services, pending: Pending) -> None:
    """Leave an input that was not begun in the store, and tell whoever waits for it."""
    error = InterruptedTurnError(
        "The server stopped before it began to work on this message.",
        details="It is kept, and worked on when the server starts again. There is no need to send it again.",
    )
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


async def _settle_row(services: Services, submission_id: str, shown: PublicError) -> Submission | None:
    """Settle it, unless it is settled: then the row is returned.

    Raises:
        StoreError: Refused.
    """
    for tries_left in (2, 1, 0):
        row = await services.store.submission(submission_id)
        if row is None or row.status == "settled":
            return row
        settle = Settle(
            submission_id=row.id,
            attempt=row.attempt,
            outcome="aborted" if shown.type == "aborted" else "failed",
            at=services.clock.now_ms(),
            error=_encode(shown),
        )
        try:
            await services.store.commit(services.fence, settle)
            return None
        except FencedError:  # a fenced attempt that goes on may have claimed or settled it meanwhile: once each
            if not tries_left:
                raise
    return None
