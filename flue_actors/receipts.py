"""What is known of an input afterwards: from its row, in this process or after a restart."""

from typing import Any, Final

import msgspec
from msgspec import UNSET

from flue_actors.agent_ref import SubmissionInfo
from flue_actors.clock import iso
from flue_actors.errors import InternalError, InterruptedTurnError, TurnError, UnavailableError, turn_error
from flue_actors.events import ErrorEvent, Event, Idle, Operation, OperationError, PromptResult, PublicError
from flue_actors.ids import DEFAULT_HARNESS
from flue_actors.observing import Feed, Subscription, watched
from flue_actors.storage import Submission

_decode_result = msgspec.json.Decoder(PromptResult).decode
_decode_error = msgspec.json.Decoder(PublicError).decode
_UNKNOWN: Final = PublicError(type=InternalError.type, message=InternalError.default_message)


def result_of(row: Submission) -> PromptResult:
    """What a settled submission answers.

    Raises:
        TurnError: It was settled ``failed`` or ``aborted``.
    """
    if row.result is not None:
        return _decode_result(row.result)
    raise error_of(row)


def error_of(row: Submission) -> TurnError:
    """What a settled submission failed with."""
    shown = _UNKNOWN if row.error is None else _decode_error(row.error)
    details = shown.details if shown.details is not UNSET else ""
    return turn_error(shown.type, shown.message, details, None if shown.meta is UNSET else shown.meta)


def kept(submission_id: str, offset: str = "0-0") -> InterruptedTurnError:
    """What is said of an input that the next start works on; its events are behind ``offset``."""
    details = "It is kept, and worked on when the server starts again. There is no need to send it again."
    return InterruptedTurnError(details=details, meta={"submissionId": submission_id, "offset": offset})


def away() -> UnavailableError:
    """What is said of an input whose agent is not defined any more."""
    return UnavailableError("The agent of this message is not there.", details="It waits until the agent is back.")


def info(row: Submission) -> SubmissionInfo:
    """The row as callers see it."""
    return SubmissionInfo(
        submission_id=row.id,
        session=row.session,
        kind=row.kind,
        status=row.status,
        accepted_at=iso(row.accepted_at),
        attempts=row.attempt,
        outcome=row.outcome,
        started_at=None if row.started_at is None else iso(row.started_at),
        settled_at=None if row.settled_at is None else iso(row.settled_at),
        result=None if row.result is None else _decode_result(row.result),
        error=None if row.error is None else _decode_error(row.error),
    )


class Settled:
    """The hold on an input that was settled before it was sent again: `agent_ref.Submitted`."""

    __slots__ = ("_row", "_subscription")

    def __init__(self, row: Submission, *, watch: bool) -> None:
        self._row = row
        self._subscription = _told(row) if watch else None

    @property
    def submission_id(self) -> str:
        """``sub_...``."""
        return self._row.id

    @property
    def dispatch_id(self) -> str:
        """Blank unless it was dispatched."""
        return self._row.dispatch_id or ""

    @property
    def accepted_at(self) -> str:
        """ISO timestamp."""
        return iso(self._row.accepted_at)

    @property
    def offset(self) -> str:
        """The beginning of its session: where exactly it stood is no longer known."""
        return "0-0"

    @property
    def feed(self) -> Subscription:
        """Its outcome, as events; only when submitted with ``watch=True``."""
        return watched(self._subscription)

    async def result(self) -> PromptResult:
        """The outcome. Raises TurnError."""
        return result_of(self._row)


def _told(row: Submission) -> Subscription:
    """Its outcome, to be read as its events would have been."""
    feed = Feed()
    reader = feed.subscribe(row.id)
    for event in _outcome_events(row):
        feed.append(row.id, event)
    return reader


def _outcome_events(row: Submission) -> tuple[Event, Event]:
    correlation: dict[str, Any] = {
        "session": row.session,
        "harness": DEFAULT_HARNESS,
        "instance_id": row.key.id,
        "submission_id": row.id,
        "timestamp": iso(row.settled_at or row.accepted_at),
    }
    if row.result is not None:
        result = _decode_result(row.result)
        operation = Operation(
            operation_kind="prompt", duration_ms=0, is_error=False, result=result, usage=result.usage, **correlation
        )
        return operation, Idle(**correlation)
    shown = PublicError.of(error_of(row))
    reason = OperationError(name=shown.type, message=shown.message)
    operation = Operation(operation_kind="prompt", duration_ms=0, is_error=True, error=reason, **correlation)
    return operation, ErrorEvent(error=shown, **correlation)
