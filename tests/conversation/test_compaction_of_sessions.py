"""Any history, compacted at any moments with any patience: what the model is shown stays valid, live and after loading."""

from itertools import count, pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.conversation.compaction import Window, conclude, plan
from flue_actors.conversation.entries import (
    CompactionBody,
    ResumedBody,
    SettledBody,
    compaction_entry,
    message_entry,
    resumed_entry,
    settled_entry,
)
from flue_actors.conversation.prompts import aborted_signal, continued_signal, instructions_signal
from flue_actors.conversation.transcript import Transcript
from flue_actors.messages import (
    AssistantMessage,
    Message,
    SignalMessage,
    ToolResultMessage,
    Usage,
    UserMessage,
    tool_calls_of,
)
from flue_actors.storage import Entry
from tests.conversation.build import call, reply, result, user


class Compact(msgspec.Struct, frozen=True):
    """Compact now, keeping about so many tokens."""

    keep: int


class Marker(msgspec.Struct, frozen=True):
    """An entry that is no message."""


Step = Message | Compact | Marker

_text = st.text(alphabet="ab<", max_size=120)
_usage = st.builds(Usage, total_tokens=st.integers(0, 300))
_ids = count()


@st.composite
def _turn_of_calls(draw: st.DrawFn) -> list[Step]:
    ids = [f"{next(_ids)}" for _ in range(draw(st.integers(1, 3)))]
    tool = draw(st.sampled_from(["read", "write", "edit", "add"]))
    calls = tuple([call(each, tool, path=draw(st.sampled_from("xyz"))) for each in ids])
    asked = msgspec.structs.replace(reply(stop="toolUse"), content=calls, usage=draw(_usage))
    answered = draw(st.permutations(ids))[: draw(st.sampled_from([len(ids), len(ids), len(ids) - 1]))]
    return [asked, *[msgspec.structs.replace(result(each, draw(_text)), tool_name=tool) for each in answered]]


@st.composite
def _reply(draw: st.DrawFn) -> list[Step]:
    return [msgspec.structs.replace(reply(draw(_text)), usage=draw(_usage))]


@st.composite
def _compact(draw: st.DrawFn) -> list[Step]:
    return [Compact(draw(st.integers(0, 150)))]


@st.composite
def _input(draw: st.DrawFn) -> list[Step]:
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return [SignalMessage(type="dispatch_input", tag_name="dispatch", content=draw(_text), timestamp=1)]
    return [instructions_signal(draw(_text), 1), user("a")] if kind == 1 else [user(draw(_text))]


@st.composite
def _interruption(draw: st.DrawFn) -> list[Step]:
    signal = draw(st.sampled_from([aborted_signal("s", "direct", "user", 1), continued_signal("s", 1)]))
    return [reply(draw(_text), stop="aborted"), Marker(), signal]


_steps = st.lists(st.one_of(_input(), _turn_of_calls(), _reply(), _interruption(), _compact()), max_size=25)


def live(pieces: list[list[Step]]) -> tuple[Transcript, list[Entry], list[CompactionBody]]:
    """The session as the engine lives it, and what it stored."""
    grown = Transcript()
    entries: list[Entry] = []
    bodies: list[CompactionBody] = []
    for step in [user("first"), *[step for piece in pieces for step in piece]]:
        seq = len(entries) + 1
        if isinstance(step, Marker):
            entries.append(resumed_entry(seq, 1, "s", ResumedBody(attempt=2, kept=False)))
        elif isinstance(step, Compact):
            made = plan(grown.view(), Window(size=0, reserve=1000, keep=step.keep, reads=None))
            if made is None:
                continue
            answers = [f"summary {seq}"] * len(made.requests)
            body = conclude(made, answers, reason="manual", model="m", usage=None, duration_ms=1, timestamp=seq)
            assert body is not None
            before = len(grown.context())
            grown.compact(body)
            assert (body.messages_before, body.messages_after) == (before, len(grown.context()))
            entries.append(compaction_entry(seq, body))
            bodies.append(body)
        else:
            grown.add(step, seq)
            entries.append(message_entry(seq, step, "prompt"))
    return grown, entries, bodies


@given(_steps)
def test_a_provider_accepts_every_context(pieces: list[list[Step]]) -> None:
    context = live(pieces)[0].context()
    assert isinstance(context[0], UserMessage | SignalMessage)
    due: list[str] = []
    for message in context:
        if isinstance(message, ToolResultMessage):
            assert message.tool_call_id == due.pop(0)
            continue
        assert not due
        if isinstance(message, AssistantMessage):
            due = [each.id for each in tool_calls_of(message)]
    assert not due


@given(_steps)
def test_a_loaded_session_is_the_one_that_was_left(pieces: list[list[Step]]) -> None:
    grown, entries, bodies = live(pieces)
    first = bodies[-1].first_kept if bodies else 1
    for stored in (entries, [entry for entry in entries if entry.seq >= first]):
        loaded = Transcript.of(stored)
        assert loaded.context() == grown.context()
        assert loaded.view() == grown.view()
        assert loaded.unanswered() == grown.unanswered()


@given(_steps)
def test_a_compaction_goes_forward_and_forgets_no_file(pieces: list[list[Step]]) -> None:
    _, _, bodies = live(pieces)
    for earlier, later in pairwise(bodies):
        assert later.first_kept > earlier.first_kept
        known = {*earlier.details.read_files, *earlier.details.modified_files}
        assert known <= {*later.details.read_files, *later.details.modified_files}
        assert set(earlier.details.modified_files) <= set(later.details.modified_files)


@given(_steps)
def test_a_summary_does_not_grow_with_the_number_of_compactions(pieces: list[list[Step]]) -> None:
    for body in live(pieces)[2]:
        assert body.summary.count("summary") <= 2


def test_a_refused_input_stays_out_of_a_compacted_session() -> None:
    grown, entries, bodies = live([[reply("b"), user("c"), reply("d")], [Compact(0)]])
    assert bodies
    seq = len(entries) + 1
    body = SettledBody(outcome="failed", duration_ms=1, stop_reason="model_refused")
    entries += [message_entry(seq, user("bad"), "prompt", submission_id="r"), settled_entry(seq + 1, 1, "r", body)]
    assert Transcript.of(entries).context() == grown.context()
