"""The stored form of a session's entries: readable JSON, one shape per kind. Pure.

`message` rows carry one conversation message and where it came from; `resumed` rows mark that an interrupted input is
worked on again, `settled` rows its terminal outcome, so history, status and replayed events tell the same story. A
`compaction` row says which messages the model is not shown any more, and what instead; they stay in the history.
"""

from typing import Any, Final, Literal

import msgspec

from flue_actors.events import CompactionReason, OperationError, OperationKind
from flue_actors.messages import Message, SignalMessage, Usage
from flue_actors.storage import Entry, Outcome

INSTRUCTIONS: Final = "instructions"
"""Type of the signal that tells the model of changed instructions."""

Source = Literal["prompt", "dispatch", "model", "tool", "runtime"]


class MessageBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Body of a ``message`` entry."""

    message: Message
    source: Source
    turn_id: str | None = None


class SettledBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Body of a ``settled`` entry. ``stop_reason`` names why it ended when that was not an ordinary stop."""

    outcome: Outcome
    duration_ms: int
    operation_id: str | None = None
    operation_kind: OperationKind = "prompt"
    stop_reason: str | None = None
    usage: Usage | None = None
    error: OperationError | None = None


class ResumedBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of a ``resumed`` entry: from here on another attempt is at work. See `events.StreamInterrupted`.

    ``waited``: the one before ended because somebody had to decide on something, and nothing was interrupted.
    """

    attempt: int
    kept: bool
    waited: bool = False


class CompactionDetails(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Files the tools reached in everything that was ever summarised in a session; each list in order of last use."""

    read_files: tuple[str, ...] = ()
    modified_files: tuple[str, ...] = ()


class CompactionBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Body of a ``compaction`` entry: from here on the model is shown this for all messages before ``first_kept``.

    Attributes:
        summary: The model's words. How they are shown: `compaction_summary.summary_signal`.
        first_kept: Seq of the first entry whose message is still shown.
        tokens_before: About how many tokens the context had.
        messages_before: Messages of the context, an earlier summary counted as one.
        messages_after: The same afterwards.
        keeps: Facts that held at that moment, one line each.
        reason: Why it was done.
        model: Who summarised: ``provider/model``.
        usage: What it cost.
        duration_ms: How long it took.
        timestamp: Milliseconds since the epoch.
    """

    summary: str
    first_kept: int
    tokens_before: int
    messages_before: int
    messages_after: int
    reason: CompactionReason
    model: str
    timestamp: int
    duration_ms: int
    details: CompactionDetails = CompactionDetails()
    keeps: tuple[str, ...] = ()
    usage: Usage | None = None


_encode = msgspec.json.Encoder().encode
_COMPACTION: "msgspec.json.Decoder[CompactionBody]" = msgspec.json.Decoder(CompactionBody)
_MESSAGE: "msgspec.json.Decoder[MessageBody]" = msgspec.json.Decoder(MessageBody)
_RESUMED: "msgspec.json.Decoder[ResumedBody]" = msgspec.json.Decoder(ResumedBody)
_SETTLED: "msgspec.json.Decoder[SettledBody]" = msgspec.json.Decoder(SettledBody)


def message_entry(
    seq: int, message: Message, source: Source, *, submission_id: str | None = None, turn_id: str | None = None
) -> Entry:
    """The row for one message."""
    body = _encode(MessageBody(message=message, source=source, turn_id=turn_id))
    return Entry(seq=seq, kind="message", at=message.timestamp, body=body, submission_id=submission_id)


def settled_entry(seq: int, at: int, submission_id: str, body: SettledBody) -> Entry:
    """The row for one terminal outcome."""
    return Entry(seq=seq, kind="settled", at=at, body=_encode(body), submission_id=submission_id)


def resumed_entry(seq: int, at: int, submission_id: str, body: ResumedBody) -> Entry:
    """The row that marks a new attempt."""
    return Entry(seq=seq, kind="resumed", at=at, body=_encode(body), submission_id=submission_id)


def compaction_entry(seq: int, body: CompactionBody, *, submission_id: str | None = None) -> Entry:
    """The row for one compaction."""
    return Entry(seq=seq, kind="compaction", at=body.timestamp, body=_encode(body), submission_id=submission_id)


def read_message(entry: Entry) -> MessageBody:
    """The body of a ``message`` entry."""
    return _MESSAGE.decode(entry.body)


def read_settled(entry: Entry) -> SettledBody:
    """The body of a ``settled`` entry."""
    return _SETTLED.decode(entry.body)


def read_resumed(entry: Entry) -> ResumedBody:
    """The body of a ``resumed`` entry."""
    return _RESUMED.decode(entry.body)


def read_compaction(entry: Entry) -> CompactionBody:
    """The body of a ``compaction`` entry."""
    return _COMPACTION.decode(entry.body)


def is_message(entry: Entry) -> bool:
    """True for what `read_message` reads."""
    return entry.kind == "message"


def is_private(body: MessageBody) -> bool:
    """True for what is between the runtime and the model: the instructions are nobody else's."""
    return isinstance(body.message, SignalMessage) and body.message.type == INSTRUCTIONS


def json_text(value: Any) -> str:
    """Key-sorted, 2-space JSON: how structured input is shown to a model."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2).decode()
