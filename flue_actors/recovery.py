"""What a start does with inputs an earlier process left without an outcome: every one of them is settled.

Resuming them comes later; what they are is said plainly: ``failed`` with error ``interrupted``, a signal in the history
for the model, and the outcome in the row.
"""

import logging

import msgspec

from flue_actors.conversation.entries import SettledBody, message_entry, settled_entry
from flue_actors.conversation.prompts import interrupted_signal
from flue_actors.errors import InterruptedTurnError
from flue_actors.events import OperationError, PublicError
from flue_actors.services import Services
from flue_actors.storage import Append, Settle, Submission

logger = logging.getLogger("flue_actors.recovery")

_encode = msgspec.json.Encoder().encode


async def settle_leftovers(services: Services) -> int:
    """Settle every unsettled submission ``failed``; returns how many there were.

    Raises:
        StoreError: The store refused.
    """
    leftovers = await services.store.unsettled()
    for submission in leftovers:
        await _settle(services, submission)
    if leftovers:
        logger.warning("%d inputs of an earlier process were cut off; settled as interrupted", len(leftovers))
    return len(leftovers)


async def _settle(services: Services, submission: Submission) -> None:
    now = services.clock.now_ms()
    error = InterruptedTurnError()
    seq = await services.store.last_seq(submission.key, submission.session)
    signal = interrupted_signal(submission.id, submission.kind, error.type, now)
    reason = OperationError(name=error.type, message=error.message)
    body = SettledBody(outcome="failed", duration_ms=0, stop_reason=error.type, error=reason)
    await services.store.commit(
        services.fence,
        Append(
            key=submission.key,
            session=submission.session,
            entries=(
                message_entry(seq + 1, signal, "runtime", submission_id=submission.id),
                settled_entry(seq + 2, now, submission.id, body),
            ),
        ),
        Settle(
            submission_id=submission.id,
            attempt=submission.attempt,
            outcome="failed",
            at=now,
            error=_encode(PublicError(type=error.type, message=error.message, details=error.details)),
        ),
    )
