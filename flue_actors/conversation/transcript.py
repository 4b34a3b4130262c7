"""A session's messages in memory, and what of them the model is shown. Pure.

Rules of the context, checked as messages arrive, so a turn costs the same at 10 entries and at 10,000:

* Replies that ended in ``error`` are left out. Of one that was cut off (``aborted``) its text counts: a signal behind it
  says what happened. Its reasoning does not: unsigned, the provider would refuse it.
* A reply with tool calls counts only once every one of its calls has its result, in the order of the calls; until then
  it and its results wait outside. An orphaned result is left out.
* What waits outside when another user message arrives stays out: the provider would refuse it.
* A compaction puts its summary, in the user role, where the messages before its first kept one stood. A result stands
  with its reply, under the reply's seq, so no place between two seqs separates them.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, Self

import msgspec

from flue_actors.conversation.compaction_summary import summary_signal
from flue_actors.conversation.entries import CompactionBody, is_message, read_compaction, read_message, read_settled
from flue_actors.conversation.tokens import estimate_tokens
from flue_actors.errors import ContextOverflowError, ModelRefusedError, ModelRejectedError
from flue_actors.messages import (
    AssistantMessage,
    FileContent,
    ImageContent,
    Message,
    SignalMessage,
    TextContent,
    ToolCall,
    ToolResultMessage,
    UserMessage,
    is_illustrated,
    tool_calls_of,
)
from flue_actors.storage import Entry

_REFUSED: Final = ModelRefusedError.type
"""The model declined to answer: it does again for as long as it sees what it was asked."""

_REJECTED: Final = frozenset({ModelRejectedError.type, ContextOverflowError.type})
"""The provider did not take the request: a picture it cannot read, or too much of them, would end every later turn."""


class TranscriptView(msgspec.Struct, frozen=True, kw_only=True):
    """A transcript at one moment, for whoever looks at it from another thread.

    Attributes:
        messages: What the model is shown, the summary of earlier messages apart.
        seqs: Of each of them the entry it came from; of a result, that of its reply.
        compaction: The one whose summary stands before them.
        tokens: See `Transcript.tokens`.
        unsettled: True while a reply's calls have not all been answered.
    """

    messages: tuple[Message, ...]
    seqs: tuple[int, ...]
    compaction: CompactionBody | None
    tokens: int
    unsettled: bool


def without_attachments(message: Message) -> Message:
    """The same message, with words where its pictures and files were."""
    if not isinstance(message, UserMessage | ToolResultMessage) or not is_illustrated(message):
        return message
    return msgspec.structs.replace(message, content=tuple([_in_words(part) for part in message.content]))


def _in_words(part: TextContent | ImageContent | FileContent) -> TextContent:
    match part:
        case ImageContent():
            return TextContent(text="[A picture was here that the model's provider did not take.]")
        case FileContent():
            return TextContent(text=f"[The file {part.name} was here; the model's provider did not take it.]")
        case TextContent():
            return part


class Transcript:
    """The model's view of a session, grown message by message."""

    __slots__ = ("_awaited", "_compaction", "_context", "_fresh", "_results", "_seqs", "_summary", "_waiting")

    def __init__(self) -> None:
        self._context: list[Message] = []
        self._seqs: list[int] = []
        self._summary: tuple[SignalMessage] | tuple[()] = ()
        self._compaction: CompactionBody | None = None
        self._fresh = 0  # replies from this place on were counted with nothing but what is still shown
        self._waiting: tuple[int, AssistantMessage] | None = None  # a reply whose results are not complete
        self._awaited: list[str] = []  # ids of its calls, in order
        self._results: dict[str, ToolResultMessage] = {}

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Self:
        """The transcript of stored entries in order: a whole session's, or its from the first one that the newest compaction kept.

        Inputs that the model declined to answer are left out, with all that was said to them; of those that the
        provider did not take, the pictures and files.
        """
        endings = {entry.submission_id: read_settled(entry).stop_reason for entry in entries if entry.kind == "settled"}
        transcript = cls()
        for entry in entries:
            ending = endings.get(entry.submission_id)
            if entry.kind == "compaction":
                transcript.compact(read_compaction(entry))
            elif is_message(entry) and ending != _REFUSED:
                message = read_message(entry).message
                transcript.add(without_attachments(message) if ending in _REJECTED else message, entry.seq)
        return transcript

    def add(self, message: Message, seq: int) -> None:
        """Take the session's next message. ``seq`` is its entry's."""
        if isinstance(message, ToolResultMessage):
            self._add_result(message)
            return
        self._drop_waiting()
        if not isinstance(message, AssistantMessage):
            self._show(seq, message)
        elif message.stop_reason == "aborted":
            self._add_piece(message, seq)
        elif message.stop_reason != "error":
            self._add_reply(message, seq)

    def compact(self, body: CompactionBody) -> None:
        """Show its summary for everything before ``body.first_kept``, an earlier summary included."""
        place = bisect_left(self._seqs, body.first_kept)
        del self._context[:place]
        del self._seqs[:place]
        self._compaction = body
        self._summary = (summary_signal(body),)
        self._fresh = len(self._context)

    def context(self) -> tuple[Message, ...]:
        """What the model is shown: valid for a provider at any moment."""
        return (*self._summary, *self._context)

    def view(self) -> TranscriptView:
        """What `compaction.plan` looks at."""
        return TranscriptView(
            messages=tuple(self._context),
            seqs=tuple(self._seqs),
            compaction=self._compaction,
            tokens=self.tokens(),
            unsettled=self._waiting is not None,
        )

    def tokens(self) -> int:
        """About how many tokens the context has: what the provider counted last, and an estimate of what came after.

        Costs as much as there are messages behind the last reply; only before the first one, as many as are shown.
        """
        for place in range(len(self._context) - 1, self._fresh - 1, -1):
            message = self._context[place]
            if isinstance(message, AssistantMessage) and message.usage.total_tokens:
                return message.usage.total_tokens + estimate_tokens(self._context[place + 1 :])
        return estimate_tokens(self.context())

    @property
    def ends_in_a_reply(self) -> bool:
        """True when the model has the last word: asked now, it would take its own reply for one to continue."""
        return bool(self._context) and isinstance(self._context[-1], AssistantMessage)

    @property
    def asked_at(self) -> int:
        """The seq of the reply whose calls are not all answered; 0 when there is none."""
        return self._waiting[0] if self._waiting is not None else 0

    def unanswered(self) -> tuple[ToolCall, ...]:
        """The calls of the last reply that have no result yet."""
        calls = tool_calls_of(self._waiting[1]) if self._waiting is not None else ()
        return tuple([call for call in calls if call.id not in self._results])

    def answered(self, tool: str) -> bool:
        """True when a tool of this name gave a result, among what is shown, that was no error: it existed."""
        results = [message for message in self._context if isinstance(message, ToolResultMessage)]
        return any(not result.is_error and result.tool_name == tool for result in results)

    def _show(self, seq: int, *messages: Message) -> None:
        self._context.extend(messages)
        self._seqs.extend([seq] * len(messages))

    def _add_reply(self, message: AssistantMessage, seq: int) -> None:
        calls = tool_calls_of(message)
        if calls:
            self._waiting = seq, message
            self._awaited = [call.id for call in calls]
        elif message.content:
            self._show(seq, message)

    def _add_piece(self, message: AssistantMessage, seq: int) -> None:
        text = tuple([block for block in message.content if isinstance(block, TextContent) and block.text.strip()])
        if text:
            self._show(seq, msgspec.structs.replace(message, content=text))

    def _add_result(self, message: ToolResultMessage) -> None:
        if self._waiting is None or message.tool_call_id not in self._awaited:
            return
        self._results[message.tool_call_id] = message
        if len(self._results) == len(set(self._awaited)):
            self._show(*self._waiting, *[self._results[call_id] for call_id in self._awaited])
            self._drop_waiting()

    def _drop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting = None
            self._awaited = []
            self._results = {}
