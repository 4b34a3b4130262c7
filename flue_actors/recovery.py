"""What a start does with inputs an earlier process left without an outcome.

One that was never begun is simply worked on now. One that was being worked on is settled: ``failed`` with error
``interrupted``, and its history says so for the model: every open tool call gets a result (outcome unknown), and a signal
tells that the message was not answered. Resuming such a turn comes later.
"""

import logging

import msgspec

from flue_actors.conversation.entries import SettledBody, settled_entry
from flue_actors.conversation.prompts import interrupted_signal
from flue_actors.conversation.turn import unknown_outcome
from flue_actors.errors import InterruptedTurnError
from flue_actors.events import OperationError, PublicError
from flue_actors.services import Services
from flue_actors.session import Session
from flue_actors.storage import Append, Entry, Settle, Submission

logger = logging.getLogger("flue_actors.recovery")

_encode = msgspec.json.Encoder().encode


async def settle_interrupted(services: Services) -> list[Submission]:
    """Settle what was being worked on; returns what was never begun, in acceptance order.

    Raises:
        StoreError: The store refused.
    """
    waiting: list[Submission] = []
    interrupted = 0
    for submission in await services.store.unsettled():
        if submission.attempt == 0:
            waiting.append(submission)
        else:
            await _settle(services, submission)
            interrupted += 1
    if interrupted or waiting:
        logger.warning(
            "an earlier process stopped: %d inputs were cut off, %d had not begun", interrupted, len(waiting)
        )
    return waiting


async def _settle(services: Services, submission: Submission) -> None:
    now = services.clock.now_ms()
    error = InterruptedTurnError()
    session = await Session.load(services.store, submission.key, submission.session)
    entries: list[Entry] = [
        session.add(unknown_outcome(call, now), "runtime", submission_id=submission.id)
        for call in session.transcript.unanswered()
    ]
    signal = interrupted_signal(submission.id, submission.kind, error.type, now)
    entries.append(session.add(signal, "runtime", submission_id=submission.id))
    reason = OperationError(name=error.type, message=error.message)
    body = SettledBody(outcome="failed", duration_ms=0, stop_reason=error.type, error=reason)
    entries.append(settled_entry(session.next_seq(), now, submission.id, body))
    await services.store.commit(
        services.fence,
        Append(key=submission.key, session=submission.session, entries=tuple(entries)),
        Settle(
            submission_id=submission.id,
            attempt=submission.attempt,
            outcome="failed",
            at=now,
            error=_encode(PublicError(type=error.type, message=error.message, details=error.details)),
        ),
    )
