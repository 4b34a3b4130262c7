from flue_actors.conversation.turn import Finish, RunTools, Stop, next_step, refused
from flue_actors.errors import TurnLimitError
from flue_actors.messages import ToolCall, text_of
from tests.conversation.build import call, reply


def test_a_text_reply_finishes() -> None:
    assert next_step(reply(), turn=1, max_turns=3) == Finish(None)


def test_a_reply_cut_by_its_length_finishes_and_says_so() -> None:
    assert next_step(reply(stop="length"), turn=1, max_turns=3) == Finish("length")


def test_tool_calls_are_run() -> None:
    assert next_step(reply("", "1", "2"), turn=2, max_turns=3) == RunTools((call("1"), call("2")))


def test_the_turn_limit_stops_with_a_result_for_every_open_call() -> None:
    step = next_step(reply("", "1", "2"), turn=3, max_turns=3)
    assert isinstance(step, Stop)
    assert isinstance(step.error, TurnLimitError)
    assert [each.tool_call_id for each in step.results] == ["1", "2"]
    assert all(each.is_error for each in step.results)


def test_the_last_allowed_turn_may_still_finish() -> None:
    assert next_step(reply(), turn=3, max_turns=3) == Finish(None)


def test_an_unknown_tool_is_refused_and_the_model_told_which_exist() -> None:
    outcome = refused(call("1", "fly"), {"add": None, "walk": None}, 5)
    assert outcome is not None
    assert outcome.is_error
    assert "add, walk" in text_of(outcome)


def test_arguments_that_are_not_json_are_refused() -> None:
    outcome = refused(ToolCall(id="1", name="add", arguments={}, invalid='{"a":'), {"add": None}, 5)
    assert outcome is not None
    assert "not valid JSON" in text_of(outcome)


def test_a_known_tool_with_an_object_may_run() -> None:
    assert refused(call("1"), {"add": None}, 5) is None
