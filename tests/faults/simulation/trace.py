"""How what is written reads in a trace: one line a commit, a few words an operation."""

from flue_actors.conversation.entries import is_message, read_message, read_settled
from flue_actors.messages import AssistantMessage, SignalMessage, ToolResultMessage, text_of, tool_calls_of
from flue_actors.storage import (
    Admit,
    Append,
    Claim,
    Decide,
    Entry,
    Op,
    RequestAbort,
    Requeue,
    Settle,
    Suspend,
    WriteJournal,
)


def shown_id(submission_id: str | None) -> str:
    """The end of an id: enough to tell them apart."""
    return "-" if submission_id is None else submission_id[-4:]


def shown(op: Op) -> str:
    """An operation in a few words."""
    match op:
        case Admit(submission):
            given = submission.payload.decode()
            return f"ADMIT {shown_id(submission.id)} {submission.key} {submission.session} {submission.policy} {given}"
        case Claim():
            host = "" if op.host is None else f" with {shown_id(op.host)}"
            return f"CLAIM {shown_id(op.submission_id)} attempt {op.attempt}{host}"
        case Append():
            by = f"{shown_id(op.submission_id)}/{op.attempt}"
            return f"APPEND {by} {op.key} {op.session} [{', '.join(map(_entry, op.entries))}]"
        case WriteJournal():
            return f"JOURNAL {shown_id(op.submission_id)}/{op.attempt} {op.kind} {op.name} {op.body!r} after {op.after}"
        case Settle():
            end = op.result if op.error is None else op.error
            return f"SETTLE {shown_id(op.submission_id)}/{op.attempt} {op.outcome} {(end or b'').decode()[:90]}"
        case Requeue():
            return f"REQUEUE {shown_id(op.submission_id)}/{op.attempt}"
        case Suspend():
            return f"SUSPEND {shown_id(op.submission_id)}/{op.attempt}"
        case Decide():
            return f"DECIDE {shown_id(op.submission_id)} {op.name} {op.body.decode()} resume {op.resume}"
        case RequestAbort():
            return f"ABORT {' '.join(map(shown_id, op.submission_ids))} {op.reason}"
        case _:
            return repr(op)[:120]


def _entry(entry: Entry) -> str:
    return f"{entry.seq} {shown_id(entry.submission_id)} {_content(entry)}"


def _content(entry: Entry) -> str:
    if entry.kind == "settled":
        body = read_settled(entry)
        return f"settled {body.outcome} {body.stop_reason or ''}"
    if not is_message(entry):
        return f"{entry.kind} {entry.body.decode()}"
    message = read_message(entry).message
    text = text_of(message)
    match message:
        case AssistantMessage():
            calls = " ".join([f"{call.id}={call.name}({call.arguments.get('how')})" for call in tool_calls_of(message)])
            return f"reply {text!r} {calls} {message.stop_reason}"
        case ToolResultMessage():
            return f"result {message.tool_call_id} {'error ' if message.is_error else ''}{text[:40]!r}"
        case SignalMessage():
            return f"signal {message.type}"
        case _:
            return f"user {text!r}"
