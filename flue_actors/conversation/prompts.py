"""Text the runtime itself adds to a prompt. Pure.

What a session is told about its instance is written once and frozen in the store, so it stays byte-identical over
turns, restarts and midnight: the provider's prompt cache bills by byte prefix.
"""

import json
from datetime import UTC, datetime

from flue_actors.conversation.entries import json_text
from flue_actors.ids import AgentKey
from flue_actors.messages import SignalMessage


def instance_text(key: AgentKey, at_ms: int) -> str:
    """The per-instance part of the system prompt: id and today's date (UTC). The id is quoted: it is data."""
    date = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"Conversation id: {json.dumps(key.id, ensure_ascii=False)}\nDate: {date:%a, %b %d, %Y}"


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
    """Tells the model that an earlier input was cut off and not answered."""
    return SignalMessage(
        type="submission_interrupted",
        attributes={"submissionId": submission_id, "kind": kind, "reason": reason},
        content="An earlier message was interrupted before it was answered. It will not be answered by itself.",
        timestamp=at_ms,
    )
