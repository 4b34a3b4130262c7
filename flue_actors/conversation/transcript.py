"""A session's messages in memory, and what of them the model is shown. Pure.

Rules of the context, checked as messages arrive, so a turn costs the same at 10 entries and at 10,000:

* Replies that ended in ``error`` are left out. Of one that was cut off (``aborted``) its text counts: a signal behind it
  says what happened. Its reasoning does not: unsigned, the provider would refuse it.
* A reply with tool calls counts only once every one of its calls has its result, in the order of the calls; until then
  it and its results wait outside. An orphaned result is left out.
* What waits outside when another user message arrives stays out: the provider would refuse it.
"""

from collections.abc import Iterable

import msgspec

from flue_actors.messages import AssistantMessage, Message, TextContent, ToolCall, ToolResultMessage, tool_calls_of


class Transcript:
    """The model's view of a session, grown message by message."""

    __slots__ = ("_awaited", "_context", "_results", "_waiting")

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self._context: list[Message] = []
        self._waiting: AssistantMessage | None = None  # a reply whose results are not complete
        self._awaited: list[str] = []  # ids of its calls, in order
        self._results: dict[str, ToolResultMessage] = {}
        for message in messages:
            self.add(message)

    def add(self, message: Message) -> None:
        """Take the session's next message."""
        if isinstance(message, ToolResultMessage):
            self._add_result(message)
            return
        self._drop_waiting()
        if not isinstance(message, AssistantMessage):
            self._context.append(message)
        elif message.stop_reason == "aborted":
            self._add_piece(message)
        elif message.stop_reason != "error":
            self._add_reply(message)

    def context(self) -> tuple[Message, ...]:
        """What the model is shown: valid for a provider at any moment."""
        return tuple(self._context)

    @property
    def ends_in_a_reply(self) -> bool:
        """True when the model has the last word: asked now, it would take its own reply for one to continue."""
        return bool(self._context) and isinstance(self._context[-1], AssistantMessage)

    def unanswered(self) -> tuple[ToolCall, ...]:
        """The calls of the last reply that have no result yet."""
        calls = tool_calls_of(self._waiting) if self._waiting is not None else ()
        return tuple([call for call in calls if call.id not in self._results])

    def answered(self, tool: str) -> bool:
        """True when a tool of this name gave a result that was no error: it existed."""
        results = [message for message in self._context if isinstance(message, ToolResultMessage)]
        return any(not result.is_error and result.tool_name == tool for result in results)

    def _add_reply(self, message: AssistantMessage) -> None:
        calls = tool_calls_of(message)
        if calls:
            self._waiting = message
            self._awaited = [call.id for call in calls]
        elif message.content:
            self._context.append(message)

    def _add_piece(self, message: AssistantMessage) -> None:
        text = tuple([block for block in message.content if isinstance(block, TextContent) and block.text.strip()])
        if text:
            self._context.append(msgspec.structs.replace(message, content=text))

    def _add_result(self, message: ToolResultMessage) -> None:
        if self._waiting is None or message.tool_call_id not in self._awaited:
            return
        self._results[message.tool_call_id] = message
        if len(self._results) == len(set(self._awaited)):
            self._context.append(self._waiting)
            self._context.extend([self._results[call_id] for call_id in self._awaited])
            self._drop_waiting()

    def _drop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting = None
            self._awaited = []
            self._results = {}
