"""What an interrupted input has come to, as its session and its journal tell: where the next attempt goes on. Pure.

Every step of a turn leaves its trace before anything is built on it, so whatever moment a process stopped at, one of
these holds:

    a recorded final reply ----------------> settle it, `finished`
    calls without results -----------------> `Transcript.unanswered` names them
    pieces of a reply behind the last entry -> keep them, `partial`
    anything else -------------------------> ask the model again
"""

from collections.abc import Sequence
from itertools import count, takewhile
from typing import Final

import msgspec

from flue_actors.conversation.approval import Approval, decode_approval
from flue_actors.conversation.entries import is_message, read_compaction, read_message
from flue_actors.conversation.outcome import ZERO, add_usage
from flue_actors.ids import TASK_PREFIX
from flue_actors.messages import AssistantMessage, ToolResultMessage, Usage, UserMessage, text_of, tool_calls_of
from flue_actors.storage import Entry, JournalRow

TASK: Final = "task"
"""The tool that gives a task to a subagent."""


class Piece(msgspec.Struct, frozen=True):
    """The part of a reply that was streamed and stored before the process stopped; never blank."""

    turn_id: str
    text: str


class Resumption(msgspec.Struct, frozen=True, kw_only=True):
    """Where an attempt goes on.

    Attributes:
        turns: Model replies that are recorded.
        usage: Their sum.
        kept: Text of the reply in progress that earlier interruptions kept.
        partial: What has to be kept of it now.
        finished: The last reply, when nothing but the settling is missing.
        steps: Recorded values of durable tools' steps.
        reminders: How often the model was told that its reply is not the result that was asked for.
        approvals: Rows of calls that need somebody's decision, by the call's id.
        tasks: What its tasks and compactions used.
        task_turns: Model replies of its tasks.
        compacted: Older messages were summarised.
        spent_ms: Work that is known to have been done on it.
    """

    turns: int = 0
    usage: Usage = ZERO
    kept: str = ""
    partial: Piece | None = None
    finished: AssistantMessage | None = None
    steps: dict[str, bytes] = {}
    reminders: int = 0
    approvals: dict[str, Approval] = {}
    tasks: Usage = ZERO
    task_turns: int = 0
    compacted: bool = False
    spent_ms: int = 0


def resumption(
    entries: Sequence[Entry], journal: Sequence[JournalRow], *, spent_ms: int = 0, task_id: str | None = None
) -> Resumption:
    """Read the traces.

    Args:
        entries: The session's entries of this submission.
        journal: Its journal. Pieces of a reply before the last of these entries are of no use any more.
        spent_ms: What the row says.
        task_id: Read those of one of its tasks: ``entries`` are that session's.
    """
    turns, usage, kept, last, replied, reminders = 0, ZERO, "", None, 0, 0
    tasks, task_turns = ZERO, 0
    rows = _of_session(journal, task_id)
    newest = entries[-1].seq if entries else 0
    for entry in entries:
        body = read_message(entry) if is_message(entry) else None
        message = body.message if body is not None else None
        if isinstance(message, AssistantMessage):
            last = message
            if message.stop_reason == "aborted":
                kept += text_of(message)
            else:
                usage = add_usage(usage, message.usage)  # what was cut off is not known, and no sum of it
                turns += 1
                kept = "" if tool_calls_of(message) else kept  # a last reply is told with what stands before it
                replied = entry.seq
        elif isinstance(message, ToolResultMessage):
            tasks = add_usage(tasks, used_below(message))
            task_turns += message.details.get("turns", 0) if _is_task(message) else 0
        elif isinstance(message, UserMessage):
            last, kept = None, ""  # a reminder stands behind the reply
            reminders += body is not None and body.source == "runtime"
        elif entry.kind == "compaction":
            tasks = add_usage(tasks, read_compaction(entry).usage or ZERO)
    finished = last if last is not None and last.stop_reason != "aborted" and not tool_calls_of(last) else None
    return Resumption(
        turns=turns,
        usage=usage,
        kept=kept,
        partial=_piece([row for row in rows if row.kind == "text" and row.after >= newest]),
        finished=finished,
        # Of the calls of the last reply only: some models call every first call "call_0".
        steps={row.name: row.body for row in rows if row.kind == "step" and row.after >= replied},
        approvals={
            row.name: decode_approval(row.body) for row in rows if row.kind == "approval" and row.after >= replied
        },
        reminders=reminders,
        tasks=tasks,
        task_turns=task_turns,
        compacted=any(entry.kind == "compaction" for entry in entries),
        spent_ms=max([spent_ms, *[row.spent_ms for row in journal]]),
    )


def used_below(result: ToolResultMessage) -> Usage:
    """What the task behind a result used, with its own tasks; nothing for any other tool's."""
    return msgspec.convert(result.details["usage"], Usage) if _is_task(result) else ZERO


def _is_task(result: ToolResultMessage) -> bool:
    return result.tool_name == TASK and "taskId" in result.details and "usage" in result.details


def _of_session(journal: Sequence[JournalRow], task_id: str | None) -> list[JournalRow]:
    """The rows of the submission's own session, or of one task's, under the names they were given there."""
    if task_id is None:
        return [row for row in journal if not row.name.startswith(TASK_PREFIX)]
    prefix = f"{TASK_PREFIX}{task_id}/"
    return [
        msgspec.structs.replace(row, name=row.name.removeprefix(prefix))
        for row in journal
        if row.name.startswith(prefix)
    ]


def _piece(rows: Sequence[JournalRow]) -> Piece | None:
    """What the last try of the model call had streamed, as far as no piece is missing. One may have been written twice."""
    if not rows:
        return None
    turn_id = rows[-1].name.partition("/")[0]
    pieces = {row.name: row.body for row in rows}
    names = takewhile(pieces.__contains__, (f"{turn_id}/{number}" for number in count()))
    text = b"".join([pieces[name] for name in names]).decode()
    return Piece(turn_id, text) if text.strip() else None
