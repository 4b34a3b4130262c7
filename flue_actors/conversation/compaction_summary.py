"""What a compaction leaves of the messages it replaces, and how that reads to the model. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from flue_actors.conversation.entries import CompactionBody, CompactionDetails
from flue_actors.messages import AssistantMessage, Message, SignalMessage, ToolCall, ToolResultMessage, tool_calls_of

FILES_KEPT: Final = 200
"""Of each list, the last ones: the summary is part of every later request, so it must not grow with the session."""

_READING: Final = frozenset({"read"})
_MODIFYING: Final = frozenset({"write", "edit"})


def summary_signal(body: CompactionBody) -> SignalMessage:
    """What stands in the context where the older messages stood."""
    sections = (
        "Earlier messages of this conversation are not shown any more. This is a summary of them.",
        body.summary,
        _section("Files read so far", body.details.read_files),
        _section("Files changed so far", body.details.modified_files),
        _section("Still true when this was written", body.keeps),
    )
    return SignalMessage(
        type="context_summary",
        tag_name="compaction",
        content="\n\n".join([section for section in sections if section]),
        timestamp=body.timestamp,
    )


def files_touched(messages: Sequence[Message], before: CompactionDetails) -> CompactionDetails:
    """``before`` and the files that the ``read``, ``write`` and ``edit`` calls of these messages reached.

    A file that was changed is not named among those read. A call that failed reached nothing.
    """
    read = dict.fromkeys(before.read_files)
    modified = dict.fromkeys(before.modified_files)
    for tool, path in _reached(messages):
        touched = modified if tool in _MODIFYING else read
        touched.pop(path, None)
        touched[path] = None
    return CompactionDetails(
        read_files=_newest([path for path in read if path not in modified]), modified_files=_newest(list(modified))
    )


def _reached(messages: Sequence[Message]) -> Iterable[tuple[str, str]]:
    """Tool and path of every successful call on a file, in order."""
    calls: Mapping[str, ToolCall] = {}
    for message in messages:
        if isinstance(message, AssistantMessage):
            calls = {call.id: call for call in tool_calls_of(message)}
        elif isinstance(message, ToolResultMessage) and not message.is_error:
            call = calls.get(message.tool_call_id)
            path = call.arguments.get("path") if call is not None else None
            if call is not None and call.name in _READING | _MODIFYING and isinstance(path, str) and path:
                yield call.name, path


def _newest(paths: list[str]) -> tuple[str, ...]:
    return tuple(paths[-FILES_KEPT:])


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", *[f"- {_one_line(line)}" for line in lines]]) if lines else ""


def _one_line(text: str) -> str:
    """A name with a line break in it cannot pose as a heading."""
    return text if text.isprintable() else json.dumps(text, ensure_ascii=False)
