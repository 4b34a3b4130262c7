from typing import Any

import msgspec
import pytest

from flue_actors.messages import SignalMessage, TextContent, ThinkingContent, ToolCall, ToolResultMessage, UserMessage
from flue_actors.models.anthropic.body import encode_body, request_body
from flue_actors.models.catalog import ANTHROPIC, ModelInfo
from flue_actors.models.protocol import ModelRequest, ThinkingLevel, ToolSpec
from tests.messages_api.validation import refusal
from tests.models.helpers import CSV, FILES, PDF, PNG, asking, assistant, result, tool

INFO = ModelInfo(200_000, 64_000)
CALL = ToolCall(id="c1", name="add", arguments={"a": 1})


def _body(request: ModelRequest, info: ModelInfo = INFO) -> dict[str, Any]:
    body = request_body(request, info)
    assert refusal(body) is None
    return body


def _marks(body: dict[str, Any]) -> list[str]:
    """Where the cache marks are, in prompt order."""
    found = [f"tool:{tool['name']}" for tool in body.get("tools", []) if "cache_control" in tool]
    found += [f"system:{block['text']}" for block in body.get("system", []) if "cache_control" in block]
    for index, message in enumerate(body["messages"]):
        found += [f"message:{index}" for block in message["content"] if "cache_control" in block]
    return found


def test_the_prompt_goes_tools_instructions_instance_history_with_four_marks() -> None:
    request = asking(
        "one",
        assistant(TextContent(text="1")),
        "two",
        assistant(TextContent(text="2")),
        "three",
        instructions="static",
        instance_text="id 7",
        tools=(tool("b"), tool("a")),
    )
    body = _body(request)
    assert [spec["name"] for spec in body["tools"]] == ["a", "b"]
    assert _marks(body) == ["system:static", "system:id 7", "message:2", "message:4"]


def test_without_a_system_prompt_the_last_tool_is_marked() -> None:
    assert _marks(_body(asking("hi", tools=(tool("a"), tool("b"))))) == ["tool:b", "message:0"]


def test_without_anything_else_only_the_message_is_marked() -> None:
    body = _body(asking("hi"))
    assert _marks(body) == ["message:0"]
    assert "system" not in body
    assert "tools" not in body


def test_equal_requests_are_equal_bytes() -> None:
    def encoded() -> bytes:
        tools = (tool("a", x={"type": "string"}, b={"type": "integer"}),)
        return encode_body(request_body(asking("hi", CALL_TURN, RESULT, tools=tools), INFO))

    assert encoded() == encoded()


CALL_TURN = assistant(CALL)
RESULT = result("c1", "3")


def test_results_and_text_after_them_are_one_user_turn_results_first() -> None:
    other = ToolCall(id="c2", name="add", arguments={})
    signal = SignalMessage(type="note", content="by the way", timestamp=0)
    body = _body(asking("go", assistant(CALL, other), result("c1", "3"), result("c2", "4"), signal, "thanks"))
    turns = body["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result", "tool_result", "text", "text"]


def test_a_tool_result_may_be_empty() -> None:
    (block,) = _body(asking("go", CALL_TURN, result("c1", "")))["messages"][2]["content"]
    assert "content" not in block
    assert "is_error" not in block


def test_a_signal_is_xml_in_the_user_role() -> None:
    signal = SignalMessage(type="dispatch_input", tag_name="dispatch", content="<hi>", timestamp=0)
    (block,) = _body(asking(signal))["messages"][0]["content"]
    assert block["text"] == '<dispatch type="dispatch_input">\n&lt;hi&gt;\n</dispatch>'


def test_only_reasoning_this_model_signed_is_sent_back() -> None:
    signed = ThinkingContent(thinking="hm", signature="s")
    redacted = ThinkingContent(thinking="", redacted="xx")
    unsigned = ThinkingContent(thinking="hm")
    text = TextContent(text="ok")
    own = assistant(signed, redacted, unsigned, text)
    foreign = assistant(signed, redacted, text, model="another")
    scripted = assistant(signed, text, api="scripted")
    turns = _body(asking("a", own, "b", foreign, "c", scripted, "d"))["messages"]
    kinds = [[block["type"] for block in turn["content"]] for turn in turns if turn["role"] == "assistant"]
    assert kinds == [["thinking", "redacted_thinking", "text"], ["text"], ["text"]]


def test_empty_text_and_empty_replies_are_left_out() -> None:
    body = _body(asking("a", assistant(TextContent(text=" "), TextContent(text="ok")), "b", assistant(), "c"))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [block["text"] for block in body["messages"][2]["content"]] == ["b", "c"]


def test_a_call_with_invalid_arguments_goes_back_as_an_empty_object() -> None:
    broken = ToolCall(id="c1", name="add", arguments={}, invalid='{"a')
    assert _body(asking("a", assistant(broken), result("c1", "bad")))["messages"][1]["content"][0]["input"] == {}


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("off", {"type": "disabled"}),
        ("minimal", {"type": "enabled", "budget_tokens": 1024}),
        ("low", {"type": "enabled", "budget_tokens": 2048}),
        ("medium", {"type": "enabled", "budget_tokens": 8192}),
        ("high", {"type": "enabled", "budget_tokens": 16384}),
        ("xhigh", {"type": "enabled", "budget_tokens": 16384}),
    ],
)
def test_budget_models_get_a_budget(level: ThinkingLevel, expected: dict[str, Any]) -> None:
    body = _body(asking("hi", thinking=level), ModelInfo(200_000, 64_000, "budget"))
    assert body["thinking"] == expected
    assert "output_config" not in body


@pytest.mark.parametrize(
    ("level", "effort"), [("minimal", "low"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("xhigh", "max")]
)
def test_adaptive_models_get_an_effort(level: ThinkingLevel, effort: str) -> None:
    body = _body(asking("hi", thinking=level), ANTHROPIC["claude-opus-4-6"])
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": effort}


def test_adaptive_models_can_be_told_not_to_think() -> None:
    assert _body(asking("hi", thinking="off"), ANTHROPIC["claude-opus-4-8"])["thinking"] == {"type": "disabled"}


def test_models_that_always_think_do_it_as_little_as_they_can_when_off() -> None:
    body = _body(asking("hi", thinking="off"), ANTHROPIC["claude-opus-5-5"])
    assert body["thinking"]["type"] == "adaptive"
    assert body["output_config"] == {"effort": "low"}


def test_a_model_that_only_thinks_between_tools_when_off_is_told_so() -> None:
    body = _body(asking("hi", thinking="off"), ANTHROPIC["claude-sonnet-5-5"])
    assert body["thinking"] == {"type": "between_tools"}
    assert "output_config" not in body


@pytest.mark.parametrize("model", [name for name, info in ANTHROPIC.items() if info.thinking != "budget"])
def test_effort_models_have_no_budget_and_keep_their_whole_output(model: str) -> None:
    for level in ("minimal", "low", "medium", "high", "xhigh"):
        body = _body(asking("hi", thinking=level, max_tokens=500), ANTHROPIC[model])
        assert body["thinking"]["type"] == "adaptive"
        assert body["max_tokens"] == 500


def test_models_that_do_not_think_are_not_asked_to() -> None:
    assert "thinking" not in _body(asking("hi", thinking="high"), INFO)


@pytest.mark.parametrize(("max_tokens", "budget"), [(4096, 3072), (2048, 1024), (2047, None), (100, None)])
def test_a_budget_leaves_room_for_the_answer(max_tokens: int, budget: int | None) -> None:
    body = _body(asking("hi", thinking="high", max_tokens=max_tokens), ModelInfo(200_000, 64_000, "budget"))
    assert body["thinking"].get("budget_tokens") == budget


@pytest.mark.parametrize(
    ("asked", "most", "sent"),
    [
        (None, 64_000, 64_000),
        (1_000, 64_000, 1_000),
        (99_000, 64_000, 64_000),
        (None, None, 8_192),
        (9_000, None, 9_000),
    ],
)
def test_max_tokens_is_what_was_asked_up_to_the_models_own(asked: int | None, most: int | None, sent: int) -> None:
    assert _body(asking("hi", max_tokens=asked), ModelInfo(max_tokens=most))["max_tokens"] == sent


ASKED = TextContent(text="What is this?")


def test_pictures_and_files_of_a_message_come_in_their_order() -> None:
    message = UserMessage(content=(PNG, PDF, CSV, ASKED), timestamp=0)
    blocks = _body(asking(message, attachments=FILES))["messages"][0]["content"]
    assert blocks[0] == {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}}
    assert blocks[1] == {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
        "title": "report.pdf",
    }
    assert blocks[2] == {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "a,b\n1,2\n"},
        "title": "table.csv",
    }
    assert blocks[3]["text"] == "What is this?"


def test_a_tools_pictures_stand_in_its_result() -> None:
    shot = ToolResultMessage(tool_call_id="c1", tool_name="shot", content=(ASKED, PNG), is_error=False, timestamp=0)
    body = _body(asking("go", CALL_TURN, shot, attachments=FILES))
    (block,) = body["messages"][2]["content"]
    assert [part["type"] for part in block["content"]] == ["text", "image"]


def test_attachments_that_are_gone_are_words() -> None:
    message = UserMessage(content=(PNG, PDF, CSV), timestamp=0)
    blocks = _body(asking(message))["messages"][0]["content"]
    assert [block["type"] for block in blocks] == ["text"] * 3
    assert "report.pdf" in blocks[1]["text"]


def test_a_blank_file_is_said_to_be_empty() -> None:
    message = UserMessage(content=(CSV,), timestamp=0)
    (block,) = _body(asking(message, attachments={CSV.attachment: b" \n"}))["messages"][0]["content"]
    assert "empty" in block["text"]


def test_pictures_keep_the_prefix_and_the_marks() -> None:
    first = UserMessage(content=(ASKED, PNG), timestamp=0)
    history = (first, assistant(TextContent(text="A dot.")), UserMessage(content=(PNG,), timestamp=0))
    fields: dict[str, Any] = {"attachments": FILES, "instructions": "static", "instance_text": "id 7"}
    body = _body(asking(*history, assistant(TextContent(text="Again.")), "and now?", **fields))
    assert _marks(body) == ["system:static", "system:id 7", "message:2", "message:4"]
    shorter = _body(asking(*history, **fields))
    assert encode_body(body["messages"][0]) == encode_body(_without_mark(shorter["messages"][0]))


def _without_mark(message: dict[str, Any]) -> dict[str, Any]:
    blocks = [{key: part for key, part in block.items() if key != "cache_control"} for block in message["content"]]
    return message | {"content": blocks}


RESULT_SCHEMA: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}}


def test_a_result_is_promised_beside_the_effort() -> None:
    body = _body(asking("hi", result_schema=RESULT_SCHEMA), ANTHROPIC["claude-opus-4-8"])
    assert body["output_config"]["effort"] == "medium"
    assert body["output_config"]["format"]["schema"]["additionalProperties"] is False


def test_a_result_that_cannot_be_promised_is_not_asked_for_natively() -> None:
    info = ANTHROPIC["claude-haiku-4-5"]
    assert "output_config" not in _body(asking("hi", result_schema={"type": "array"}), info)
    assert "output_config" not in _body(asking("hi", result_schema=RESULT_SCHEMA), INFO)


def test_tools_that_shall_not_be_called_are_sent_all_the_same() -> None:
    request = asking("hi", tools=(tool("a"),), use_tools=False)
    body = _body(request)
    assert body["tool_choice"] == {"type": "none"}
    assert body["tools"] == _body(asking("hi", tools=(tool("a"),)))["tools"]
    assert "tool_choice" not in _body(asking("hi", use_tools=False))


def test_an_error_without_output_says_so() -> None:
    body = _body(asking("go", CALL_TURN, result("c1", "", is_error=True)))
    (block,) = body["messages"][2]["content"]
    assert block["is_error"] is True
    assert block["content"] == [{"type": "text", "text": "[No output.]"}]


def test_an_error_with_a_picture_is_one_in_words() -> None:
    shot = ToolResultMessage(tool_call_id="c1", tool_name="shot", content=(ASKED, PNG), is_error=True, timestamp=0)
    (block,) = _body(msgspec.structs.replace(asking("go", CALL_TURN, shot), attachments=FILES))["messages"][2][
        "content"
    ]
    assert "is_error" not in block
    assert [each["type"] for each in block["content"]] == ["text", "text", "image"]
    assert block["content"][0]["text"] == "[This is an error.]"


def test_reasoning_that_nothing_follows_is_not_sent_back() -> None:
    signed = ThinkingContent(thinking="hm", signature="s")
    redacted = ThinkingContent(thinking="", redacted="r")
    said = assistant(TextContent(text="Well."), signed)
    body = _body(asking("one", assistant(signed, redacted), "two", said, "three"))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in body["messages"][1]["content"]] == ["text"]


@pytest.mark.parametrize("others", [{"model": "claude-sonnet-4-5"}, {"api": "openai-completions"}])
def test_a_turn_that_another_model_began_goes_on_without_a_budget(others: dict[str, str]) -> None:
    def thinking(*history: Any) -> str:
        body = _body(asking("go", *history, model="claude-haiku-4-5"), ANTHROPIC["claude-haiku-4-5"])
        return body["thinking"]["type"]

    own = ToolCall(id="c2", name="add", arguments={})
    begun = (assistant(CALL, **others), result("c1", "3"), assistant(own), result("c2", "4"))
    assert thinking(*begun) == "disabled"
    assert thinking(*begun, assistant(TextContent(text="7")), "And now?") == "enabled"
    assert thinking(CALL_TURN, result("c1", "3")) == "enabled"


def test_choices_at_the_top_of_a_tools_schema_are_not_sent() -> None:
    named = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    schema = {
        "type": "object",
        "properties": {"size": {"type": "integer"}},
        "anyOf": [{"$ref": "#/$defs/Named"}, {"properties": {"id": {"type": "integer"}}, "required": ["id"]}],
        "allOf": [{"required": ["size"]}],
        "$defs": {"Named": named},
    }
    body = _body(asking("go", tools=(ToolSpec("find", "Find.", schema),)))
    assert body["tools"][0]["input_schema"] == {
        "type": "object",
        "properties": {"name": {"type": "string"}, "id": {"type": "integer"}, "size": {"type": "integer"}},
        "required": ["size"],
        "$defs": {"Named": named},
    }
