"""What a stored history and a model request must look like, whatever happened on the way. Pure; problems as sentences."""

from collections.abc import Collection, Iterator, Sequence

from flue_actors.conversation.entries import is_message, read_message, read_resumed, read_settled
from flue_actors.conversation.transcript import Transcript
from flue_actors.messages import (
    AssistantMessage,
    Message,
    SignalMessage,
    ToolResultMessage,
    UserMessage,
    tool_calls_of,
)
from flue_actors.storage import Entry


def context_problems(messages: Sequence[Message]) -> Iterator[str]:
    """Why a provider would refuse these messages as a request."""
    if not messages:
        yield "there is no message"
        return
    if not isinstance(messages[0], UserMessage | SignalMessage):
        yield "the first message is not the user's"
    if isinstance(messages[-1], AssistantMessage):
        yield "the last message is the model's own"
    yield from _pairing(messages)


def history_problems(
    entries: Sequence[Entry], unsettled: Collection[str], left_behind: Collection[str] = ()
) -> Iterator[str]:
    """What is wrong with the stored entries of one session.

    Args:
        unsettled: Submissions that have no outcome yet.
        left_behind: Those whose attempt did not end when it was cancelled: their last calls have no results.
    """
    if [entry.seq for entry in entries] != list(range(1, len(entries) + 1)):
        yield "the seqs have gaps or repeats"
    ended: set[str] = set()
    inputs: set[str] = set()
    for entry in entries:
        owner = entry.submission_id or ""
        if entry.kind == "settled":
            read_settled(entry)
            if owner in ended:
                yield f"entry {entry.seq}: {owner} is settled twice"
            if owner in unsettled:
                yield f"entry {entry.seq}: {owner} is settled here, and not in its row"
            ended.add(owner)
            continue
        if owner in ended:
            yield f"entry {entry.seq}: {entry.kind} of {owner}, which was settled before"
        if entry.kind == "resumed":
            read_resumed(entry)
        elif is_message(entry) and read_message(entry).source in {"prompt", "dispatch"}:
            if owner in inputs:
                yield f"entry {entry.seq}: the input of {owner} stands twice"
            inputs.add(owner)
    yield from _whole(entries, unsettled, left_behind)


def _whole(entries: Sequence[Entry], unsettled: Collection[str], left_behind: Collection[str]) -> Iterator[str]:
    """Calls have their results; what the model is shown is valid, and nothing of it is missing."""
    open_calls: dict[str, str] = {}
    for entry in entries:
        message = read_message(entry).message if is_message(entry) else None
        if isinstance(message, ToolResultMessage):
            if open_calls.pop(message.tool_call_id, None) is None:
                yield f"entry {entry.seq}: a result without a call, {message.tool_call_id}"
            continue
        if message is not None and open_calls:
            if next(iter(open_calls.values())) not in left_behind:
                yield f"entry {entry.seq}: stands before the results of {', '.join(open_calls)}"
            open_calls = {}
        if isinstance(message, AssistantMessage):
            open_calls = {call.id: entry.submission_id or "" for call in tool_calls_of(message)}
    for call_id, owner in open_calls.items():
        if owner not in unsettled and owner not in left_behind:
            yield f"{owner} is settled, and its call {call_id} has no result"
    yield from _pairing(Transcript.of(entries).context())


def _pairing(messages: Sequence[Message]) -> Iterator[str]:
    """Each reply with calls is followed by exactly its results, in order."""
    awaited: list[str] = []
    seen: set[str] = set()
    for place, message in enumerate(messages):
        if isinstance(message, ToolResultMessage):
            if not awaited or awaited[0] != message.tool_call_id:
                yield f"message {place}: a result of {message.tool_call_id} where {awaited[:1]} is due"
            awaited = awaited[1:]
            continue
        if awaited:
            yield f"message {place}: stands before the results of {awaited}"
        awaited = []
        if isinstance(message, AssistantMessage):
            awaited = [call.id for call in tool_calls_of(message)]
            if not message.content:
                yield f"message {place}: an empty reply"
            if seen.intersection(awaited):
                yield f"message {place}: a call's id is used twice"
            seen.update(awaited)
        elif isinstance(message, UserMessage) and not message.content:
            yield f"message {place}: an empty message"
    if awaited:
        yield f"the last reply has no results of {awaited}"
