"""Settles inputs whose actor could not: dropped from the queue, fenced, or cut off by a failing store.

The actor owns its session's entries, so nothing is appended here: the outcome is in the row and in the feed.
"""

import logging

import msgspec

from flue_actors.clock import iso
from flue_actors.errors import FlueError, StoreError
from flue_actors.events import ErrorEvent, PublicError
from flue_actors.services import Services
from flue_actors.storage import Settle
from flue_actors.submissions import Pending

logger = logging.getLogger("flue_actors.settling")

_encode = msgspec.json.Encoder().encode


async def settle_unworked(services: Services, pending: Pending, error: FlueError) -> None:
    """Settle the row in whatever attempt it is, and end its feed.

    A row that something else settled is left alone. A store that refuses is logged: the row is settled at the next start.
    """
    shown = PublicError(type=error.type, message=error.message, details=error.details)
    try:
        row = await services.store.submission(pending.submission_id)
        if row is not None and row.status != "settled":
            await services.store.commit(
                services.fence,
                Settle(
                    submission_id=row.id,
                    attempt=row.attempt,
                    outcome="aborted" if error.type == "aborted" else "failed",
                    at=services.clock.now_ms(),
                    error=_encode(shown),
                ),
            )
    except StoreError:
        logger.exception("submission %s is settled at the next start", pending.submission_id)
    pending.fail(error)
    submission = pending.submission
    pending.instance.feed.append(
        submission.id,
        ErrorEvent(
            error=shown,
            instance_id=submission.key.id,
            session=submission.session,
            submission_id=submission.id,
            timestamp=iso(services.clock.now_ms()),
        ),
    )
