"""Text the runtime itself adds to a prompt. Pure.

What a session is told about its instance is written once and frozen in the store, so it stays byte-identical over
turns, restarts and midnight: the provider's prompt cache bills by byte prefix.
"""

import json
from datetime import UTC, datetime
from functools import lru_cache

from flue_actors.conversation.entries import INSTRUCTIONS, json_text
from flue_actors.ids import AgentKey
from flue_actors.messages import SignalMessage

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def instance_text(key: AgentKey, at_ms: int) -> str:
    """The per-instance part of the system prompt: id and today's date (UTC). The id is quoted: it is data."""
    return f"Conversation id: {json.dumps(key.id, ensure_ascii=False)}\nDate: {_date(at_ms // 86_400_000)}"


@lru_cache(maxsize=2)
def _date(day: int) -> str:
    # Not strftime: its names follow the process's locale, and this text must be the same bytes on every host.
    date = datetime.fromtimestamp(day * 86_400, UTC)
    return f"{_DAYS[date.weekday()]}, {_MONTHS[date.month - 1]} {date.day:02d}, {date.year}"


def dispatch_signal(
    *, key: AgentKey, session: str, dispatch_id: str, accepted_at: str, input: object, at_ms: int
) -> SignalMessage:
    """A dispatched event as the model sees it (Flue's ``<dispatch type="dispatch_input" ...>``)."""
    return SignalMessage(
        type="dispatch_input",
        tag_name="dispatch",
        attributes={
            "agent": key.agent,
            "id": key.id,
            "session": session,
            "dispatchId": dispatch_id,
            "acceptedAt": accepted_at,
        },
        content=json_text(input),
        timestamp=at_ms,
    )


def interrupted_signal(submission_id: str, kind: str, reason: str, at_ms: int) -> SignalMessage:
    """Tells the model that an earlier input was given up and not answered. ``reason`` is the error's type."""
    return SignalMessage(
        type="submission_interrupted",
        attributes={"submissionId": submission_id, "kind": kind, "reason": reason},
        content="An earlier message was interrupted before it was answered. It will not be answered by itself.",
        timestamp=at_ms,
    )


def aborted_signal(submission_id: str, kind: str, reason: str, at_ms: int) -> SignalMessage:
    """Tells the model that an earlier input was stopped on request; a reply before it may be cut off."""
    return SignalMessage(
        type="submission_aborted",
        attributes={"submissionId": submission_id, "kind": kind, "reason": reason},
        content="The work on the message before this was stopped on request. What was not done was not wanted any more.",
        timestamp=at_ms,
    )


def continued_signal(submission_id: str, at_ms: int) -> SignalMessage:
    """Tells the model to go on with the reply that stands before this, which its reader has already."""
    return SignalMessage(
        type="stream_interrupted",
        attributes={"submissionId": submission_id},
        content=(
            "Your reply was interrupted at the point where it ends above. The reader has that part already. "
            "Continue exactly from there: do not repeat any of it, and do not mention the interruption."
        ),
        timestamp=at_ms,
    )


def unanswered_signal(submission_id: str, at_ms: int) -> SignalMessage:
    """Tells the model to answer an input that stands further up: others were answered before it went on."""
    return SignalMessage(
        type="submission_resumed",
        attributes={"submissionId": submission_id},
        content="An earlier message above was interrupted before it was answered. Answer it now.",
        timestamp=at_ms,
    )


def instructions_signal(instructions: str, at_ms: int) -> SignalMessage:
    """Tells the model what its instructions are from here on, while the system prompt stays as it was frozen."""
    return SignalMessage(
        type=INSTRUCTIONS,
        content=f"Your instructions have changed. From here on these replace the earlier ones:\n\n{instructions}",
        timestamp=at_ms,
    )
