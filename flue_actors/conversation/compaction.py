"""When older messages are replaced by a summary, and which. Pure; the engine asks the model and commits.

    messages shown   [summary] m m m m m | m m m m m m m
                     \\_ summarised anew _/ \\_ kept as they are: about `Window.keep` tokens
                                         cut

A cut stands before an input or a reply, so a call is never parted from its results. Where it stands inside a turn, the
turn is split: its beginning gets notes of its own, for what is kept would make no sense without them. While a call has
no result there is no plan at all.

    transcript.view() --> plan() --> the model answers plan.requests --> conclude() --> transcript.compact()
"""

from collections.abc import Sequence
from itertools import chain
from typing import Final, Self

import msgspec

from flue_actors.conversation.compaction_request import SummaryRequest, history_request, prefix_request
from flue_actors.conversation.compaction_summary import files_touched
from flue_actors.conversation.compaction_text import is_standing
from flue_actors.conversation.entries import CompactionBody, CompactionDetails
from flue_actors.conversation.tokens import message_tokens
from flue_actors.conversation.transcript import TranscriptView
from flue_actors.events import CompactionReason
from flue_actors.messages import AssistantMessage, Message, SignalMessage, Usage, UserMessage

RESERVE_TOKENS: Final = 20_000
SUMMARY_TOKENS: Final = 16_000
"""The longest summary, whatever the reserve."""

_SPLIT: Final = "# The request in progress, up to here"


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """How much a model reads, and what of it compaction leaves. All in tokens.

    Attributes:
        size: What it reads, its reply included; 0 = unknown.
        reserve: What shall stay free.
        keep: How much of the newest messages stays as it is, about.
        reads: What the model that summarises reads, its reply included; None = unknown.
    """

    size: int
    reserve: int
    keep: int
    reads: int | None

    @classmethod
    def of(
        cls,
        size: int,
        *,
        keep: int,
        max_tokens: int | None = None,
        reserve: int | None = None,
        reads: int | None = None,
    ) -> Self:
        """The window of a model that reads ``size`` tokens and writes ``max_tokens``.

        Args:
            keep: `definition.limits.Compaction.keep_recent_tokens`. In a small window less is kept: half of what is not
                reserved.
            reserve: The same's ``reserve_tokens``.
            reads: The size of the window of the model that summarises, where that is another model.
        """
        if reserve is None:
            reserve = min(RESERVE_TOKENS, max_tokens or RESERVE_TOKENS)
            if size and 2 * reserve >= size:
                reserve = max(1024, size // 3)
        kept = min(keep, max(0, size - reserve) // 2) if size else keep
        return cls(size=size, reserve=reserve, keep=kept, reads=(size if reads is None else reads) or None)

    def after_overflow(self, tokens: int) -> Self:
        """What to plan with when the provider refused a context of about ``tokens``: whatever was assumed was too much."""
        keep = min(self.keep // 2, tokens // 4)
        return msgspec.structs.replace(self, keep=keep, reads=min(self.reads or tokens, tokens))


class CompactionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be asked, and what will come of it.

    Attributes:
        requests: One model call, or two that can be made side by side; `conclude` takes their answers in this order.
        first_kept: Seq of the first entry that stays.
        details: Files that were reached.
        carried: The earlier summary, where nothing has to be added to it.
        tokens_before, messages_before, messages_after, keeps: As in `entries.CompactionBody`.
    """

    requests: tuple[SummaryRequest, ...]
    first_kept: int
    tokens_before: int
    messages_before: int
    messages_after: int
    details: CompactionDetails
    carried: str
    keeps: tuple[str, ...]


def should_compact(tokens: int, window: Window) -> bool:
    """True when a context of ``tokens`` reaches into the reserve. Never where the window is unknown.

    Args:
        tokens: ``usage.total_tokens`` of the last reply, or `Transcript.tokens`.
    """
    return 0 < window.size < tokens + window.reserve


def overflowed_silently(reply: AssistantMessage, window: Window) -> bool:
    """True for a reply that shows that its request did not fit, though the provider reported no error.

    Some cut the input off without a word; some answer nothing, for want of room.
    """
    taken = reply.usage.input + reply.usage.cache_read + reply.usage.cache_write
    if window.size == 0:
        return False
    if reply.stop_reason == "length":
        return reply.usage.output == 0 and taken * 100 >= window.size * 99
    return reply.stop_reason == "stop" and taken > window.size


def plan(
    view: TranscriptView, window: Window, *, instructions: str | None = None, keeps: Sequence[str] = ()
) -> CompactionPlan | None:
    """What to summarise and what to keep; None when nothing stands before the cut, or a call has no result yet.

    Takes some 5 microseconds a message, to write them down: for a long session call it in a worker thread.

    Args:
        instructions: What somebody who asked for the compaction wants the summary to look at.
        keeps: Facts to remember whatever the model writes (a task under way), one line each.
    """
    cut = 0 if view.unsettled else _cut(view.messages, window.keep)
    previous = view.compaction
    start = _turn_start(view.messages, cut)
    requests = _requests(view.messages[:start], view.messages[start:cut], previous, window, instructions)
    if not requests:
        return None
    told = 1 if previous is not None else 0
    return CompactionPlan(
        requests=requests,
        first_kept=view.seqs[cut],
        tokens_before=view.tokens,
        messages_before=len(view.messages) + told,
        messages_after=len(view.messages) - cut + 1,
        details=files_touched(view.messages[:cut], previous.details if previous is not None else CompactionDetails()),
        carried=previous.summary if previous is not None and requests[0].purpose != "compaction" else "",
        keeps=tuple(keeps),
    )


def conclude(
    plan: CompactionPlan,
    answers: Sequence[str],
    *,
    reason: CompactionReason,
    model: str,
    usage: Usage | None,
    duration_ms: int,
    timestamp: int,
) -> CompactionBody | None:
    """What to commit, and to give to `Transcript.compact`; None when the model had nothing to say.

    Args:
        answers: The replies' texts, in the order of ``plan.requests``.
    """
    texts = [answer.strip() for answer in answers]
    if not all(texts):
        return None
    if plan.requests[-1].purpose == "compaction_prefix":
        texts[-1] = f"{_SPLIT}\n\n{texts[-1]}"
    return CompactionBody(
        summary="\n\n".join([plan.carried, *texts] if plan.carried else texts),
        first_kept=plan.first_kept,
        tokens_before=plan.tokens_before,
        messages_before=plan.messages_before,
        messages_after=plan.messages_after,
        reason=reason,
        model=model,
        timestamp=timestamp,
        duration_ms=duration_ms,
        details=plan.details,
        keeps=plan.keeps,
        usage=usage,
    )


def _requests(
    history: Sequence[Message],
    prefix: Sequence[Message],
    previous: CompactionBody | None,
    window: Window,
    instructions: str | None,
) -> tuple[SummaryRequest, ...]:
    longest = min(SUMMARY_TOKENS, window.reads // 2) if window.reads is not None else SUMMARY_TOKENS
    requests: list[SummaryRequest] = []
    if not all(map(is_standing, history)):
        most = min(window.reserve * 8 // 10, longest)
        notes = previous.summary if previous is not None else ""
        requests.append(
            history_request(history, previous=notes, instructions=instructions, max_tokens=most, reads=window.reads)
        )
    if prefix:
        most = min(window.reserve // 2, longest)
        requests.append(prefix_request(prefix, instructions=instructions, max_tokens=most, reads=window.reads))
    return tuple(requests)


def _cut(messages: Sequence[Message], keep: int) -> int:
    """The place of the first message to keep; 0 when that is all of them."""
    total = 0
    for place in range(len(messages) - 1, 0, -1):
        total += message_tokens(messages[place])
        if total >= keep:
            # Behind this place when there is one; else before it, and more is kept than was asked for.
            places = chain(range(place, len(messages)), range(place, 0, -1))
            return next((each for each in places if _may_be_first(messages[each])), 0)
    return 0


def _may_be_first(message: Message) -> bool:
    """Not a result, which needs its call; nor what the runtime tells of the message before."""
    return isinstance(message, AssistantMessage) or _begins_turn(message)


def _begins_turn(message: Message) -> bool:
    return isinstance(message, UserMessage) or (isinstance(message, SignalMessage) and message.tag_name == "dispatch")


def _turn_start(messages: Sequence[Message], cut: int) -> int:
    """Where the turn that is cut in two began; ``cut`` when none is."""
    if cut and not _begins_turn(messages[cut]):
        return next((place for place in range(cut - 1, -1, -1) if _begins_turn(messages[place])), cut)
    return cut
