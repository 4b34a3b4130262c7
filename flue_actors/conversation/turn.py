"""What follows each reply of the model: decisions only, no I/O.

    reply without tool calls -----------> Finish
    reply with tool calls --------------> RunTools, and the model is asked again
    the same at the turn limit ---------> Stop, with error results

`turn_loop.TurnLoop` performs each step.
"""

from collections.abc import Mapping, Sequence

import msgspec

from flue_actors.errors import TurnError, TurnLimitError
from flue_actors.messages import AssistantMessage, Message, TextContent, ToolCall, ToolResultMessage, tool_calls_of


class RunTools(msgspec.Struct, frozen=True):
    """Run these calls side by side; their results go back in this order."""

    calls: tuple[ToolCall, ...]


class Finish(msgspec.Struct, frozen=True):
    """The operation is done. ``stop_reason`` is None for an ordinary stop."""

    stop_reason: str | None


class Stop(msgspec.Struct, frozen=True):
    """A cap was reached: these results close the open calls, and the operation fails with ``error``."""

    results: tuple[ToolResultMessage, ...]
    error: TurnError


def next_step(
    message: AssistantMessage, *, turn: int, max_turns: int, crossed: TurnError | None = None
) -> Finish | RunTools | Stop:
    """What follows the reply of model call number ``turn`` (from 1); at most ``max_turns`` calls are made.

    Args:
        crossed: Another cap that this reply came to.
    """
    calls = tool_calls_of(message)
    if not calls:
        return Finish(None if message.stop_reason == "stop" else message.stop_reason)
    if turn >= max_turns:
        crossed = TurnLimitError(meta={"maxTurns": max_turns})
        text = f"Not run: the limit of {max_turns} model calls for one message is reached."
    elif crossed is not None:
        text = f"Not run: {crossed.message[0].lower()}{crossed.message[1:]}"
    else:
        return RunTools(calls)
    results = tuple([error_result(call, text, message.timestamp) for call in calls])
    return Stop(results, crossed)


def last_batch(context: Sequence[Message]) -> tuple[AssistantMessage | None, Sequence[ToolResultMessage]]:
    """The reply whose calls were answered last, and the answers, if nothing stands behind them."""
    results: list[ToolResultMessage] = []
    for message in reversed(context):
        if isinstance(message, ToolResultMessage):
            results.insert(0, message)
        else:
            return (message, results) if isinstance(message, AssistantMessage) and results else (None, ())
    return None, ()


def refused(call: ToolCall, known: Mapping[str, object], at: int) -> ToolResultMessage | None:
    """The error result of a call that cannot run at all: broken JSON, or no such tool. None when it can."""
    if call.name not in known:
        names = ", ".join(sorted(known)) or "none"
        return error_result(call, f'There is no tool named "{call.name}". Available tools: {names}.', at)
    if call.invalid is not None:
        return error_result(call, "The arguments are not valid JSON. Send them again as one JSON object.", at)
    return None


def unknown_outcome(call: ToolCall, at: int) -> ToolResultMessage:
    """The result of a call that was cut off: nobody knows whether it took effect, and the model is told so."""
    text = "The work was stopped before this tool answered. Its outcome is unknown; it may have run."
    return error_result(call, text, at)


def removed(call: ToolCall, at: int) -> ToolResultMessage:
    """The result of a call of a tool that is not there any more. An interrupted one may have begun."""
    text = f'tool_removed: the tool "{call.name}" was removed and cannot be called any more. Go on without it.'
    return error_result(call, text, at)


def error_result(call: ToolCall, text: str, at: int) -> ToolResultMessage:
    """A tool result that tells the model what went wrong."""
    return ToolResultMessage(
        tool_call_id=call.id, tool_name=call.name, content=(TextContent(text=text),), is_error=True, timestamp=at
    )
