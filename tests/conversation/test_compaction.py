from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from flue_actors.conversation.compaction import (
    CompactionPlan,
    Window,
    conclude,
    overflowed_silently,
    plan,
    should_compact,
)
from flue_actors.conversation.compaction_summary import FILES_KEPT
from flue_actors.conversation.entries import CompactionBody, CompactionDetails
from flue_actors.conversation.prompts import instructions_signal, interrupted_signal
from flue_actors.conversation.transcript import Transcript
from flue_actors.messages import AssistantMessage, Message, SignalMessage, ToolResultMessage, Usage, tool_calls_of
from tests.conversation.build import call, reply, result, transcript, user

TEN = "four" * 10
"""Ten tokens."""


def window(keep: int, *, reads: int | None = None) -> Window:
    return Window(size=200_000, reserve=20_000, keep=keep, reads=reads)


def planned(messages: Sequence[Message], keep: int) -> CompactionPlan:
    made = plan(transcript(*messages).view(), window(keep))
    assert made is not None
    return made


def done(made: CompactionPlan, *answers: str) -> CompactionBody:
    body = conclude(made, answers, reason="threshold", model="m", usage=None, duration_ms=1, timestamp=1)
    assert body is not None
    return body


def compacted(grown: Transcript, keep: int, *answers: str) -> CompactionBody:
    made = plan(grown.view(), window(keep))
    assert made is not None
    body = done(made, *answers)
    grown.compact(body)
    return body


def chat(turns: int) -> list[Message]:
    return [message for n in range(turns) for message in (user(f"q{n} {TEN}"), reply(f"a{n} {TEN}"))]


# -- the window ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "max_tokens", "reserve"),
    [
        (200_000, 64_000, 20_000),
        (200_000, 4000, 4000),
        (200_000, None, 20_000),
        (40_000, None, 13_333),
        (2000, None, 1024),
        (0, None, 20_000),
    ],
)
def test_the_reserve_follows_the_window(size: int, max_tokens: int | None, reserve: int) -> None:
    assert Window.of(size, max_tokens=max_tokens, keep=8000).reserve == reserve


def test_a_chosen_reserve_is_taken_as_it_is() -> None:
    assert Window.of(30_000, reserve=20_000, keep=8000).reserve == 20_000


def test_in_a_small_window_less_is_kept() -> None:
    assert Window.of(200_000, keep=8000).keep == 8000
    assert Window.of(9000, keep=8000).keep == 3000
    assert Window.of(9000, reserve=10_000, keep=8000).keep == 0
    assert Window.of(0, keep=8000).keep == 8000


def test_a_context_is_compacted_when_it_reaches_into_the_reserve() -> None:
    assert not should_compact(180_000, window(8000))
    assert should_compact(180_001, window(8000))


def test_an_unknown_window_is_never_full() -> None:
    assert not should_compact(10_000_000, Window.of(0, keep=8000))


def test_after_an_overflow_less_is_kept_and_read() -> None:
    assert Window.of(0, keep=8000).after_overflow(10_000) == replace(Window.of(0, keep=8000), keep=2500, reads=10_000)
    assert Window.of(200_000, keep=8000).after_overflow(210_000) == Window.of(200_000, keep=4000)


@pytest.mark.parametrize(
    ("message", "silent"),
    [
        (replace(reply(), usage=Usage(input=200_001)), True),
        (replace(reply(), usage=Usage(input=1, cache_read=200_000)), True),
        (replace(reply(), usage=Usage(input=200_000)), False),
        (replace(reply(stop="length"), usage=Usage(input=198_000)), True),
        (replace(reply(stop="length"), usage=Usage(input=198_000, output=1)), False),
        (replace(reply(stop="length"), usage=Usage(input=197_000)), False),
    ],
)
def test_an_overflow_without_an_error_shows_in_the_numbers(message: AssistantMessage, silent: bool) -> None:
    assert overflowed_silently(message, window(8000)) is silent
    assert not overflowed_silently(message, Window.of(0, keep=8000))


# -- the cut ------------------------------------------------------------------------------------------------------


def test_about_as_much_is_kept_as_was_asked_for() -> None:
    made = planned(chat(10), keep=40)  # eleven tokens a message
    assert made.first_kept == 17
    assert (made.messages_before, made.messages_after) == (20, 5)


def test_nothing_is_done_when_nothing_stands_before_the_cut() -> None:
    assert plan(transcript(*chat(2)).view(), window(8000)) is None
    assert plan(transcript().view(), window(0)) is None
    assert plan(transcript(user()).view(), window(0)) is None


def test_nothing_is_done_while_a_call_has_no_result() -> None:
    grown = transcript(*chat(10), reply("", "1", "2"), result("1"))
    assert plan(grown.view(), window(10)) is None
    grown.add(result("2"), 23)
    assert plan(grown.view(), window(10)) is not None


def test_a_summary_alone_is_not_summarised() -> None:
    grown = transcript(*chat(4))
    compacted(grown, 0, "notes", "beginning")
    assert plan(grown.view(), window(0)) is None


def test_results_stay_with_their_calls() -> None:
    made = planned([user(), reply("", "1", "2"), result("1", TEN), result("2", TEN)], keep=10)
    assert made.first_kept == 2


def test_what_the_runtime_tells_of_a_message_is_not_kept_without_it() -> None:
    told = interrupted_signal("s", "direct", "interrupted", 1)
    assert planned([user(), user("lost"), told, user("b")], keep=3).first_kept == 4


def test_a_dispatched_input_begins_a_turn() -> None:
    event = SignalMessage(type="dispatch_input", tag_name="dispatch", content=TEN, timestamp=1)
    made = planned([*chat(2), event, reply(TEN)], keep=20)
    assert made.first_kept == 5
    assert [request.purpose for request in made.requests] == ["compaction"]


# -- the requests -------------------------------------------------------------------------------------------------


def test_a_cut_between_turns_asks_for_one_summary() -> None:
    (request,) = planned(chat(3), keep=20).requests
    assert request.purpose == "compaction"
    assert request.max_tokens == 16_000
    assert "a1" in request.text
    assert "q2" not in request.text


def test_a_cut_in_a_turn_asks_for_its_beginning_too() -> None:
    turn = [user("build it"), reply("first", "1"), result("1"), reply("then " + TEN, "2"), result("2", TEN), reply(TEN)]
    made = planned([*chat(2), *turn], keep=30)
    history, prefix = made.requests
    assert made.first_kept == 8
    assert (history.purpose, prefix.purpose, prefix.max_tokens) == ("compaction", "compaction_prefix", 10_000)
    assert "a1" in history.text
    assert "build it" not in history.text
    assert "build it" in prefix.text
    assert "first" in prefix.text
    assert "then" not in prefix.text


def test_a_turn_that_is_the_whole_history_asks_for_its_beginning_alone() -> None:
    made = planned([user("build it"), reply("", "1"), result("1"), reply(TEN)], keep=10)
    assert [request.purpose for request in made.requests] == ["compaction_prefix"]
    assert done(made, "it was begun").summary.endswith("it was begun")


def test_the_earlier_summary_is_updated_and_not_nested() -> None:
    grown = transcript(*chat(3))
    compacted(grown, 20, "earlier & notes")
    grown.add(user("more"), 8)
    grown.add(reply(TEN), 9)
    made = plan(grown.view(), window(10))
    assert made is not None
    assert "<notes>\nearlier &amp; notes\n</notes>" in made.requests[0].text
    assert "context_summary" not in made.requests[0].text
    assert done(made, "notes of both", "beginning").summary.count("notes") == 1


def test_the_earlier_summary_is_carried_along_when_there_is_nothing_to_add_to_it() -> None:
    grown = transcript(*chat(2), user("build it"), reply("", "1"), result("1", TEN), reply(TEN))
    compacted(grown, 23, "the chat")
    assert grown.context()[1] == user("build it")
    body = compacted(grown, 10, "it was begun")
    assert body.summary.startswith("the chat\n")
    assert body.summary.endswith("it was begun")


def test_wishes_stand_outside_the_conversation() -> None:
    made = plan(transcript(*chat(4)).view(), window(0), instructions="names of people")
    assert made is not None
    for request in made.requests:
        assert "names of people" in request.text.partition("</conversation>")[2]


def test_changed_instructions_are_not_history() -> None:
    told = instructions_signal("obey", 1)
    assert "obey" not in planned([*chat(2), told, *chat(1)], keep=20).requests[0].text
    assert plan(transcript(told, user(TEN)).view(), window(10)) is None


def test_a_summary_leaves_room_in_a_small_window() -> None:
    made = plan(transcript(*chat(4)).view(), window(0, reads=4000))
    assert made is not None
    assert [request.max_tokens for request in made.requests] == [2000, 2000]


# -- what comes of it ---------------------------------------------------------------------------------------------


def test_an_empty_answer_changes_nothing() -> None:
    made = planned(chat(3), keep=20)
    assert conclude(made, [" "], reason="manual", model="m", usage=None, duration_ms=1, timestamp=1) is None


def test_a_compaction_says_what_it_did() -> None:
    grown = transcript(*chat(3))
    made = plan(grown.view(), window(20), keeps=["task 7 is running"])
    assert made is not None
    usage = Usage(input=5)
    body = conclude(made, [" notes "], reason="overflow", model="p/m", usage=usage, duration_ms=3, timestamp=4)
    assert body == CompactionBody(
        summary="notes",
        first_kept=5,
        tokens_before=grown.tokens(),
        messages_before=6,
        messages_after=3,
        keeps=("task 7 is running",),
        reason="overflow",
        model="p/m",
        usage=usage,
        duration_ms=3,
        timestamp=4,
    )


def file_turn(tool: str, *paths: str, failed: bool = False) -> list[Message]:
    calls = tuple([call(f"{tool}{n}", tool, path=path) for n, path in enumerate(paths)])
    results = [replace(result(each.id), tool_name=tool, is_error=failed) for each in calls]
    return [user(), replace(reply(stop="toolUse"), content=calls), *results, reply(TEN)]


def test_files_accumulate_over_compactions() -> None:
    grown = transcript(*file_turn("read", "a.py", "b.py"), *file_turn("write", "c.py"), *chat(1))
    assert compacted(grown, 20, "x").details == CompactionDetails(read_files=("a.py", "b.py"), modified_files=("c.py",))
    for seq, message in enumerate([*file_turn("read", "a.py", "c.py"), *file_turn("edit", "b.py"), *chat(1)], 20):
        grown.add(message, seq)
    assert compacted(grown, 20, "x").details == CompactionDetails(read_files=("a.py",), modified_files=("c.py", "b.py"))


def test_a_file_that_is_used_again_comes_last() -> None:
    made = planned([*file_turn("read", "a.py", "b.py"), *file_turn("read", "a.py"), *chat(1)], keep=20)
    assert made.details.read_files == ("b.py", "a.py")


def test_files_that_were_not_reached_are_not_named() -> None:
    made = planned([*file_turn("read", "a.py", failed=True), *file_turn("lookup", "b.py"), *chat(1)], keep=20)
    assert made.details == CompactionDetails()


def test_of_many_files_the_last_ones_are_named() -> None:
    names = [f"{n}.py" for n in range(FILES_KEPT + 5)]
    assert planned([*file_turn("read", *names), *chat(1)], keep=20).details.read_files == tuple(names[5:])


def test_the_kept_part_of_a_context_is_whole() -> None:
    grown = transcript(*chat(3), user(), reply("", "1", "2"), result("2", TEN), result("1", TEN), reply(TEN))
    compacted(grown, 15, "x", "y")
    shown = grown.context()
    assert isinstance(shown[0], SignalMessage)
    assert isinstance(shown[1], AssistantMessage)
    answers = [message.tool_call_id for message in shown if isinstance(message, ToolResultMessage)]
    assert answers == [each.id for each in tool_calls_of(shown[1])]
