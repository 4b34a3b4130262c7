import msgspec
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.messages import (
    AssistantMessage,
    Message,
    StopReason,
    TextContent,
    ThinkingContent,
    ToolResultMessage,
    tool_calls_of,
)
from tests.conversation.build import reply, result, transcript, user


def test_text_messages_are_shown_in_order() -> None:
    messages = [user("a"), reply("b"), user("c")]
    assert transcript(*messages).context() == tuple(messages)


def test_a_reply_with_calls_is_shown_once_every_result_is_there() -> None:
    grown = transcript(user(), reply("", "1", "2"), result("1"))
    assert grown.context() == (user(),)
    grown.add(result("2"), 4)
    assert grown.context() == (user(), reply("", "1", "2"), result("1"), result("2"))


def test_results_are_shown_in_the_order_of_the_calls() -> None:
    grown = transcript(user(), reply("", "1", "2"), result("2", "b"), result("1", "a"))
    assert grown.context()[2:] == (result("1", "a"), result("2", "b"))


def test_failed_replies_are_left_out() -> None:
    assert transcript(user(), reply(stop="error")).context() == (user(),)


def test_of_a_reply_that_was_cut_off_its_text_counts() -> None:
    thought = (ThinkingContent(thinking="hm"), TextContent(text="half"), TextContent(text=" "))
    cut = msgspec.structs.replace(reply(stop="aborted"), content=thought)
    (_, shown) = transcript(user(), cut).context()
    assert shown == msgspec.structs.replace(cut, content=(TextContent(text="half"),))


def test_a_reply_that_was_cut_off_before_its_first_word_is_left_out() -> None:
    assert transcript(user(), reply(" ", stop="aborted")).context() == (user(),)


def test_a_cut_off_reply_never_waits_for_results() -> None:
    grown = transcript(user(), reply("half", "1", stop="aborted"))
    assert grown.unanswered() == ()
    assert grown.ends_in_a_reply


def test_a_tool_is_known_by_a_result_that_was_no_error() -> None:
    failed = msgspec.structs.replace(result("1"), is_error=True)
    assert not transcript(user(), reply("", "1"), failed).answered("add")
    assert transcript(user(), reply("", "1"), result("1")).answered("add")


def test_an_empty_reply_is_left_out() -> None:
    assert transcript(user(), reply("")).context() == (user(),)


def test_an_orphaned_result_is_left_out() -> None:
    assert transcript(user(), result("9")).context() == (user(),)


def test_a_reply_whose_results_never_came_is_left_out_for_good() -> None:
    grown = transcript(user("a"), reply("", "1"), user("b"), result("1"))
    assert grown.context() == (user("a"), user("b"))


def test_open_calls_are_known_until_they_are_answered() -> None:
    grown = transcript(user(), reply("", "1", "2"), result("1"))
    assert [call.id for call in grown.unanswered()] == ["2"]
    grown.add(result("2"), 4)
    assert grown.unanswered() == ()


_ids = st.sampled_from(["1", "2", "3"])


def _reply(ids: list[str], stop: StopReason | None) -> AssistantMessage:
    return reply("", *ids, stop=stop)


_messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(user),
    st.builds(
        _reply,
        st.lists(_ids, unique=True),
        st.sampled_from([None, "error", "aborted"]),
    ),
    st.builds(result, _ids),
)


@given(st.lists(_messages, max_size=30))
def test_any_history_gives_a_context_a_provider_accepts(messages: list[Message]) -> None:
    context = transcript(*messages).context()
    for place, message in enumerate(context):
        if isinstance(message, AssistantMessage):
            wanted = [call.id for call in tool_calls_of(message)]
            answers = context[place + 1 : place + 1 + len(wanted)]
            assert [answer.tool_call_id for answer in answers if isinstance(answer, ToolResultMessage)] == wanted
        if isinstance(message, ToolResultMessage):
            assert any(isinstance(earlier, AssistantMessage) for earlier in context[:place])
