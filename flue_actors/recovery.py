"""What a start does with inputs an earlier process left without an outcome.

One that was never begun is simply worked on now. One that was being worked on is settled: ``failed`` with error
``interrupted``, and its history says so for the model: every open tool call gets a result (outcome unknown), and a signal
tells that the message was not answered. Resuming such a turn comes later.
"""

import asyncio
import logging

import msgspec

from flue_actors.conversation.entries import SettledBody, settled_entry
from flue_actors.conversation.prompts import interrupted_signal
from flue_actors.conversation.turn import unknown_outcome
from flue_actors.errors import InterruptedTurnError
from flue_actors.events import OperationError, PublicError
from flue_actors.ids import AgentKey
from flue_actors.services import Services
from flue_actors.session import Session
from flue_actors.storage import Append, Committed, Entry, Settle, Submission

logger = logging.getLogger("flue_actors.recovery")

_encode = msgspec.json.Encoder().encode


async def settle_interrupted(services: Services) -> list[Submission]:
    """Settle what was being worked on; returns what was never begun, in acceptance order.

    Raises:
        StoreError: The store refused.
    """
    waiting: list[Submission] = []
    writes: list[asyncio.Future[Committed]] = []  # awaited together: 5,000 of them one by one took three times as long
    written: set[tuple[AgentKey, str]] = set()
    for submission in await services.store.unsettled():
        session = (submission.key, submission.session)
        if submission.attempt == 0:
            waiting.append(submission)
            continue
        if session in written:  # what was just written is part of its history
            await asyncio.gather(*writes)
        written.add(session)
        writes.append(await _settle(services, submission))
    await asyncio.gather(*writes)
    if writes or waiting:
        logger.warning(
            "an earlier process stopped: %d inputs were cut off, %d had not begun", len(writes), len(waiting)
        )
    return waiting


async def _settle(services: Services, submission: Submission) -> "asyncio.Future[Committed]":
    """Enqueue what ends a turn that was cut off."""
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
    return services.store.commit(
        services.fence,
        Append(key=submission.key, session=submission.session, entries=tuple(entries)),
        Settle(
            submission_id=submission.id,
            attempt=submission.attempt,
            outcome="failed",
            at=now,
            error=_encode(PublicError.of(error)),
        ),
    )
