"""What a person at the terminal sees of a turn."""

import msgspec
import pytest

from flue_actors.errors import TurnError
from flue_actors.events import (
    ApprovalDecided,
    Event,
    Idle,
    Log,
    MessageEnd,
    MessageSnapshot,
    MessageStart,
    ModelName,
    Operation,
    PromptResult,
    StreamInterrupted,
    Task,
    TaskStart,
    TextDelta,
    ThinkingDelta,
    ToolCallEnd,
    ToolOutput,
    ToolStart,
)
from flue_actors.gateway.cli.chat import Reconnected
from flue_actors.gateway.cli.screen import Screen
from flue_actors.messages import AssistantMessage, TextContent, Usage

TOOL_START = ToolStart(tool_name="add", tool_call_id="c1", args={"a": 1})
TOOL_FAILED = ToolCallEnd(tool_name="add", tool_call_id="c1", is_error=True, result=ToolOutput(()), duration_ms=1)


def show(*events: Event | Reconnected, thinking: bool = False) -> None:
    screen = Screen(thinking=thinking)
    for event in events:
        screen.show(event)
    screen.end()


def test_the_reply_goes_to_stdout_as_it_grows(capsys: pytest.CaptureFixture[str]) -> None:
    show(TextDelta(text="Hel"), TextDelta(text="lo"), Idle())
    assert capsys.readouterr() == ("Hello\n", "")


def test_tools_are_named_beside_the_reply(capsys: pytest.CaptureFixture[str]) -> None:
    show(TextDelta(text="Let me see"), TOOL_START, TOOL_FAILED, TextDelta(text="Done"))
    assert capsys.readouterr() == ("Let me see\nDone\n", '[add {"a":1}]\n[add failed]\n')


def test_thinking_is_shown_only_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    show(ThinkingDelta(delta="hm"), TextDelta(text="Yes"))
    assert capsys.readouterr() == ("Yes\n", "")
    show(ThinkingDelta(delta="hm"), TextDelta(text="Yes"), thinking=True)
    assert capsys.readouterr() == ("Yes\n", "hm\n")


def test_warnings_are_shown_and_information_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    show(Log(level="info", message="quiet"), Log(level="warn", message="retrying"))
    assert capsys.readouterr() == ("", "[retrying]\n")


def test_an_error_says_what_is_wrong_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(thinking=False)
    screen.show(TextDelta(text="Half a"))
    screen.fail(TurnError("It broke.", details="Try again."))
    assert capsys.readouterr() == ("Half a\n", "It broke.\nTry again.\n")


LOST = "[the connection was lost and is there again]\n"


def reply(*texts: str) -> AssistantMessage:
    return AssistantMessage(
        content=tuple([TextContent(text=text) for text in texts]),
        api="a",
        provider="p",
        model="m",
        usage=Usage(),
        stop_reason="stop",
        timestamp=0,
    )


def done(text: str) -> Operation:
    result = PromptResult(text=text, usage=Usage(), model=ModelName("p", "m"))
    return Operation(operation_kind="prompt", duration_ms=1, is_error=False, result=result)


BEGUN = (MessageStart(message=reply()), TextDelta(text="one "), TextDelta(text="two "))


def test_a_whole_message_is_not_shown_twice(capsys: pytest.CaptureFixture[str]) -> None:
    show(*BEGUN, MessageEnd(message=reply("one ", "two ")), done("one \ntwo "), Idle())
    assert capsys.readouterr() == ("one two \n", "")


@pytest.mark.parametrize(
    "after",
    [
        (TextDelta(text="four"), MessageEnd(message=reply("one two three four")), done("one two three four")),
        (MessageSnapshot(message=reply("one two thr")), TextDelta(text="ee four"), done("one two three four")),
        (done("one two three four"),),
    ],
    ids=["end", "snapshot", "result"],
)
def test_what_was_missed_is_shown_when_it_is_known(
    after: tuple[Event, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    show(*BEGUN, Reconnected(), *after, Idle())
    assert capsys.readouterr() == ("one two \nthree four\n", LOST)


def test_what_a_killed_server_kept_less_of_is_not_shown_again(capsys: pytest.CaptureFixture[str]) -> None:
    goes_on = (MessageStart(message=reply()), TextDelta(text="and on"), MessageEnd(message=reply("and on")))
    show(*BEGUN, Reconnected(), MessageEnd(message=reply("one ")), StreamInterrupted(attempt=2, kept=True), *goes_on)
    assert capsys.readouterr() == (
        "one two \nand on\n",
        LOST + "[the server was interrupted; the reply goes on]\n",
    )


def test_what_is_no_continuation_is_shown_as_a_whole(capsys: pytest.CaptureFixture[str]) -> None:
    show(*BEGUN, Reconnected(), MessageEnd(message=reply("something else")), Idle())
    assert capsys.readouterr() == ("one two \nsomething else\n", LOST)


def test_a_subagents_words_are_not_shown_as_the_reply(capsys: pytest.CaptureFixture[str]) -> None:
    own = {"task_id": "t1", "session": "task:default:t1", "parent_session": "default"}
    show(
        TaskStart(prompt="look  it\nup", agent="finder", task_id="t1"),
        MessageStart(message=reply(), **own),
        ThinkingDelta(delta="hm", **own),
        TextDelta(text="mine", **own),
        msgspec.structs.replace(TOOL_START, task_id="t1"),
        MessageEnd(message=reply("mine"), **own),
        Task(is_error=False, duration_ms=1, task_id="t1"),
        TextDelta(text="Found."),
        thinking=True,
    )
    assert capsys.readouterr() == ("Found.\n", '[finder is given: look it up]\n[add {"a":1}]\n[the task is done]\n')


def test_a_task_that_failed_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    show(TaskStart(prompt="x" * 200), Task(is_error=True, duration_ms=1))
    assert capsys.readouterr().err == "[a subagent is given: ...]\n[the task failed]\n"


def test_a_decision_is_shown_with_who_made_it(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        ApprovalDecided(approval_id="c", decision="denied"),
        ApprovalDecided(approval_id="c", decision="approved", by="Ada"),
    )
    assert capsys.readouterr().err == "[denied]\n[approved by Ada]\n"
