"""Stored entries as the durable events they were seen as. Pure.

    message     ``message_end``         <seq>-0
    resumed     ``stream_interrupted``  <seq>-0
    compaction  ``compaction``          <seq>-0
    settled     ``operation``           <seq>-0, then ``idle`` or ``error``  <seq>-1

What was never stored (deltas, the starts of things) is not replayed. A person's own message is: nobody was shown it live.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET

from flue_actors import events
from flue_actors.clock import iso
from flue_actors.conversation.entries import is_private, read_compaction, read_message, read_resumed, read_settled
from flue_actors.events import Event, PromptResult, PublicError
from flue_actors.ids import DEFAULT_HARNESS, AgentKey
from flue_actors.messages import anonymous
from flue_actors.storage import Entry


class Outcomes:
    """What the settled submissions of a page answered: looked up by whoever reads the entries."""

    __slots__ = ("errors", "results")

    def __init__(self) -> None:
        self.results: dict[str, PromptResult] = {}
        self.errors: dict[str, PublicError] = {}


def replay(key: AgentKey, session: str, entry: Entry, outcomes: Outcomes) -> Iterator[Event]:
    """The durable events of one entry, in order; none for what only the model is told."""
    correlation: dict[str, Any] = {
        "session": session,
        "harness": DEFAULT_HARNESS,
        "instance_id": key.id,
        "submission_id": entry.submission_id or UNSET,
        "timestamp": iso(entry.at),
        "offset": f"{entry.seq}-0",
    }
    if entry.kind == "message":
        body = read_message(entry)
        if not is_private(body):
            yield events.MessageEnd(**correlation, turn_id=body.turn_id or UNSET, message=anonymous(body.message))
    elif entry.kind == "resumed":
        resumed = read_resumed(entry)
        if not resumed.waited:
            yield events.StreamInterrupted(**correlation, attempt=resumed.attempt, kept=resumed.kept)
    elif entry.kind == "compaction":
        made = read_compaction(entry)
        yield events.CompactionEnd(
            **correlation,
            messages_before=made.messages_before,
            messages_after=made.messages_after,
            duration_ms=made.duration_ms,
            usage=made.usage or UNSET,
        )
    elif entry.kind == "settled":
        settled = read_settled(entry)
        correlation["operation_id"] = settled.operation_id or UNSET
        submission_id = entry.submission_id or ""
        yield events.Operation(
            **correlation,
            operation_kind=settled.operation_kind,
            duration_ms=settled.duration_ms,
            is_error=settled.outcome != "completed",
            result=outcomes.results.get(submission_id, UNSET),
            usage=settled.usage or UNSET,
            error=settled.error or UNSET,
        )
        correlation["offset"] = f"{entry.seq}-1"
        if settled.outcome == "completed":
            yield events.Idle(**correlation)
        else:
            reason = settled.error or events.OperationError(name=settled.outcome, message="")
            shown = PublicError(type=reason.name, message=reason.message)
            yield events.ErrorEvent(**correlation, error=outcomes.errors.get(submission_id, shown))
