"""What a person at the terminal sees of a turn."""

import pytest

from flue_actors.errors import TurnError
from flue_actors.events import Event, Idle, Log, TextDelta, ThinkingDelta, ToolCallEnd, ToolOutput, ToolStart
from flue_actors.gateway.cli.screen import Screen

TOOL_START = ToolStart(tool_name="add", tool_call_id="c1", args={"a": 1})
TOOL_FAILED = ToolCallEnd(tool_name="add", tool_call_id="c1", is_error=True, result=ToolOutput(()), duration_ms=1)


def show(*events: Event, thinking: bool = False) -> None:
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
