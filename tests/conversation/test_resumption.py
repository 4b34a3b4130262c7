"""Where an interrupted input goes on, for every moment it can have been interrupted at."""

from hypothesis import given
from hypothesis import strategies as st

from flue_actors.conversation.entries import ResumedBody, message_entry, resumed_entry
from flue_actors.conversation.resumption import Piece, Resumption, resumption
from flue_actors.messages import AssistantMessage, Message, ToolResultMessage, text_of, tool_calls_of
from flue_actors.storage import Entry, JournalRow
from tests.conversation.build import reply, result, transcript, user


def stored(*messages: Message | None) -> list[Entry]:
    """Entries of one submission; None stands for the mark of a new attempt."""
    return [
        resumed_entry(seq, 1, "sub_1", ResumedBody(attempt=2, kept=False))
        if message is None
        else message_entry(seq, message, "model", submission_id="sub_1")
        for seq, message in enumerate(messages, 1)
    ]


def piece(name: str, text: str, *, after: int = 1, spent_ms: int = 0) -> JournalRow:
    return JournalRow(kind="text", name=name, body=text.encode(), after=after, spent_ms=spent_ms, attempt=1)


def found(*messages: Message | None, journal: tuple[JournalRow, ...] = (), spent_ms: int = 0) -> Resumption:
    return resumption(stored(*messages), journal, spent_ms=spent_ms)


def test_without_traces_it_goes_on_from_the_beginning() -> None:
    assert found() == Resumption()
    assert found(user()) == Resumption()


def test_a_last_reply_without_calls_is_finished() -> None:
    assert found(user(), reply("done")).finished == reply("done")
    assert found(user(), reply("", "1"), result("1")).finished is None
    assert found(user(), reply("half", stop="aborted")).finished is None


def test_whole_replies_are_counted_and_what_was_cut_off_is_kept() -> None:
    past = found(user(), reply("", "1"), result("1"), reply("one ", stop="aborted"), None, reply("two", stop="aborted"))
    assert (past.turns, past.kept) == (1, "one two")


def test_what_was_kept_belongs_to_the_reply_it_became() -> None:
    assert found(user(), reply("half", stop="aborted"), None, reply("", "1"), result("1")).kept == ""


def test_pieces_of_the_last_try_are_put_together() -> None:
    past = found(user(), journal=(piece("t1/0", "old"), piece("t2/0", "The "), piece("t2/1", "answer")))
    assert past.partial == Piece("t2", "The answer")


def test_a_piece_that_was_written_twice_counts_once() -> None:
    assert found(user(), journal=(piece("t/0", "a"), piece("t/1", "b"), piece("t/1", "b"))).partial == Piece("t", "ab")


def test_pieces_count_up_to_the_first_that_is_missing() -> None:
    assert found(user(), journal=(piece("t/0", "a"), piece("t/2", "c"))).partial == Piece("t", "a")
    assert found(user(), journal=(piece("t/1", "b"),)).partial is None


def test_pieces_from_before_the_last_entry_are_of_no_use() -> None:
    assert found(user(), reply("whole", "1"), journal=(piece("t/0", "who", after=1),)).partial is None


def test_a_blank_piece_is_none() -> None:
    assert found(user(), journal=(piece("t/0", " \n"),)).partial is None


def test_steps_are_found_by_name() -> None:
    step = JournalRow(kind="step", name="1/one", body=b"7", after=2, spent_ms=0, attempt=1)
    assert found(user(), journal=(step,)).steps == {"1/one": b"7"}


def test_the_most_that_is_known_of_the_work_counts() -> None:
    assert found(user(), journal=(piece("t/0", "a", spent_ms=900),), spent_ms=500).spent_ms == 900
    assert found(user(), spent_ms=500).spent_ms == 500


_turns = st.lists(st.lists(st.sampled_from("abc"), min_size=1, unique=True), max_size=4)


def history(turns: list[list[str]], *, last: bool) -> list[Message]:
    """Turns with these calls each; results in any order the draw gives."""
    messages: list[Message] = [user()]
    for number, calls in enumerate(turns):
        ids = [f"{number}{name}" for name in calls]
        messages += [reply("", *sorted(ids)), *[result(each) for each in ids]]
    return [*messages, reply("done")] if last else messages


@given(_turns, st.booleans(), st.data(), st.text(max_size=5))
def test_cut_anywhere_a_history_goes_on_to_something_valid(
    turns: list[list[str]], last: bool, data: st.DataObject, streamed: str
) -> None:
    whole = history(turns, last=last)
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    past = found(*cut, journal=(piece("t/0", streamed, after=len(cut)),))
    grown = transcript(*cut)
    replies = [message for message in cut if isinstance(message, AssistantMessage)]
    assert past.turns == len(replies)
    assert (past.finished is not None) == bool(replies and not tool_calls_of(replies[-1]))
    for call in grown.unanswered():
        grown.add(result(call.id), len(whole))
    if past.partial is not None:
        assert past.partial.text == streamed
        grown.add(reply(past.partial.text, stop="aborted"), len(whole))
    assert grown.unanswered() == ()
    shown = grown.context()
    for place, message in enumerate(shown):
        if isinstance(message, AssistantMessage):
            wanted = [call.id for call in tool_calls_of(message)]
            answers = shown[place + 1 : place + 1 + len(wanted)]
            assert [each.tool_call_id for each in answers if isinstance(each, ToolResultMessage)] == wanted
    if past.partial is not None:
        assert text_of(shown[-1]) == streamed
