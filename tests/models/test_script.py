import pytest

from flue_actors.models.script import Call, Fault, Step, parse_script, step_at


def test_plain_text_just_answers() -> None:
    assert parse_script("hello\nhow are you? call me maybe") == (Step(),)


def test_neighbouring_calls_are_one_reply_followed_by_the_answer() -> None:
    script = parse_script('please\ncall add {"a": 1, "b": 2}\ncall now')
    assert script == (Step(calls=(Call("add", {"a": 1, "b": 2}), Call("now"))), Step())


def test_then_starts_another_reply() -> None:
    script = parse_script("call first\nthen\ncall second")
    assert [step.calls for step in script] == [(Call("first"),), (Call("second"),), ()]


def test_broken_json_becomes_a_call_with_invalid_arguments() -> None:
    assert parse_script('call add {"a":')[0].calls == (Call("add", {}, '{"a":'),)
    assert parse_script("call add [1]")[0].calls == (Call("add", {}, "[1]"),)


def test_a_loop_is_endless_or_counted() -> None:
    endless = parse_script("loop poll")
    assert all(step_at(endless, rounds).calls == (Call("poll"),) for rounds in (0, 1, 50))
    counted = parse_script('loop poll {"n": 1} x3')
    assert [bool(step_at(counted, rounds).calls) for rounds in range(5)] == [True, True, True, False, False]


def test_a_loop_starts_after_earlier_calls() -> None:
    script = parse_script("call first\nloop poll")
    assert step_at(script, 0).calls == (Call("first"),)
    assert step_at(script, 9).calls == (Call("poll"),)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("fail 529", Fault("fail", 529)),
        ("fail 429 after 2 x3", Fault("fail", 429, 2.0, 3)),
        ("hang", Fault("hang")),
        ("half x2", Fault("half", attempts=2)),
    ],
)
def test_faults_are_read(line: str, fault: Fault) -> None:
    assert parse_script(line)[0].faults == (fault,)


def test_a_fault_after_a_call_is_about_the_next_reply() -> None:
    before, after = parse_script("fail 529 x1\ncall add"), parse_script("call add\nfail 529 x1")
    assert [bool(step.faults) for step in before] == [True, False]
    assert [bool(step.faults) for step in after] == [False, True]


def test_counted_faults_follow_one_another() -> None:
    step = parse_script("fail 529 x2\nhalf x1")[0]
    kinds = [fault.kind if (fault := step.fault(attempt)) else None for attempt in range(4)]
    assert kinds == ["fail", "fail", "half", None]


def test_waiting_thinking_and_endings_are_read() -> None:
    assert parse_script("wait 0.5\nthink it over\nlength")[0] == Step(wait=0.5, think="it over", ending="length")


def test_an_answer_has_exactly_these_words_before_its_calls() -> None:
    first, last = parse_script('answer Let me look.\ncall read {"path": "a"}\nanswer {"found": true}')
    assert (first.answer, first.calls) == ("Let me look.", (Call("read", {"path": "a"}),))
    assert (last.answer, last.calls) == ('{"found": true}', ())
