"""What the reference model knows of summaries: what each one covers, what the model is shown behind it, what they cost.

Everything that is said in a simulated run can be told apart: inputs by their numbers, replies by theirs, results by their
calls. A simulated summary is the list of what its writer was shown (`summary_of`), so nothing can be lost on the way from
summary to summary, or be told twice, without being seen here.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from flue_actors.conversation.compaction_summary import summary_signal
from flue_actors.conversation.entries import CompactionBody
from flue_actors.conversation.transcript import Transcript, TranscriptView
from flue_actors.ids import AgentKey
from flue_actors.messages import AssistantMessage, Message, SignalMessage, ToolResultMessage, text_of, tool_calls_of
from flue_actors.storage import Entry

Place = tuple[AgentKey, str]
LEFT_OUT: Final = "earlier messages left out"
_SAID: Final = re.compile(r"number[^\d\n]{1,16}(\d+)|\b(r\d+)\.0 |\b(c[\d.]+) ran|\[([rc]?\d[\d.]*)\]")


def said_in(text: str) -> list[str]:
    """What of a conversation a text tells, in order."""
    return [next(filter(None, found)) for found in _SAID.findall(text)]


def summary_of(asked: str) -> str:
    """What the simulated model writes when it is asked to summarise this."""
    told = [f"[{name}]" for name in dict.fromkeys(said_in(asked))]
    return " ".join(["notes:", *told, *([LEFT_OUT] if LEFT_OUT in asked else [])])


class Summaries:
    """See the module. ``blame`` takes what is wrong."""

    def __init__(self, blame: Callable[[str], None]) -> None:
        self._blame = blame
        self._newest: dict[Place, CompactionBody] = {}
        self.lost = 0  # tokens of summaries that were written, and stand in no session

    def asked(self, text: str) -> None:
        """The model is asked for one."""
        told = said_in(text)
        if twice := sorted({name for name in told if told.count(name) > 1}):
            self._blame(f"a summary is asked for, and {twice} is said twice in what it is made of")

    def written(self, place: Place, before: Sequence[Entry], body: CompactionBody) -> None:
        """A summary is stored behind these entries."""
        self.lost -= 0 if body.usage is None else body.usage.output
        newest, whole = self._newest.get(place), _whole(before)
        view = whole.view()
        if whole.unanswered():
            self._blame(f"{place[1]} is summarised, and not all of its calls have results")
        if body.first_kept not in view.seqs or (newest is not None and body.first_kept <= newest.first_kept):
            self._blame(f"{place[1]} is summarised up to {body.first_kept}; {newest and newest.first_kept} was kept")
        older, kept = _parted(view, body.first_kept)
        told = said_in(body.summary)
        lost = [name for name in _told_by(older) if name not in told]
        if lost and LEFT_OUT not in body.summary:
            self._blame(f"{place[1]}: {lost} is not in the summary, and not shown any more")
        if len(set(told)) != len(told) or set(told).intersection(_told_by(kept)):
            self._blame(f"{place[1]}: {body.summary} tells something twice, or what is shown still: {_told_by(kept)}")
        self._newest[place] = body

    def shown(self, place: Place, entries: Sequence[Entry], messages: Sequence[Message]) -> list[Message]:
        """The model is shown these: the newest summary, and behind it all that it does not cover. What it stands for."""
        view, body = _whole(entries).view(), self._newest.get(place)
        older, kept = _parted(view, 0 if body is None else body.first_kept)
        rest = list(messages)
        if body is not None and (not rest or text_of(rest.pop(0)) != text_of(summary_signal(body))):
            self._blame(f"{place[1]}: its summary is not what the model is shown first")
        got, due = list(map(_name, rest)), list(map(_name, kept))
        if got[: len(due)] != due:
            self._blame(f"{place[1]}: the model is shown {got}, and {due} is stored")
        if any(isinstance(each, SignalMessage) and each.type == "context_summary" for each in rest):
            self._blame(f"{place[1]}: a summary stands in the middle")
        new = _told_by(rest[len(due) :])
        if known := set(new).intersection(_told_by(view.messages)):
            self._blame(f"{place[1]}: {sorted(known)} is shown again")
        return older

    def removed(self, place: Place) -> None:
        """This session is gone."""
        self._newest.pop(place, None)


def _whole(entries: Sequence[Entry]) -> Transcript:
    """What the model would be shown if nothing had ever been summarised."""
    return Transcript.of([entry for entry in entries if entry.kind != "compaction"])


def _parted(view: TranscriptView, first_kept: int) -> tuple[list[Message], list[Message]]:
    placed = list(zip(view.seqs, view.messages, strict=True))
    return [each for seq, each in placed if seq < first_kept], [each for seq, each in placed if seq >= first_kept]


def _told_by(messages: Sequence[Message]) -> list[str]:
    return [name for each in messages for name in said_in(text_of(each))]


def _name(message: Message) -> tuple[str, ...]:
    """Tells two messages of a session apart."""
    calls = [call.id for call in tool_calls_of(message)] if isinstance(message, AssistantMessage) else []
    answers = [message.tool_call_id] if isinstance(message, ToolResultMessage) else []
    return (str(type(message).__struct_config__.tag), text_of(message), *calls, *answers)
