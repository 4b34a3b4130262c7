from typing import Any

import pytest

from flue_actors.messages import SignalMessage, TextContent, ThinkingContent, ToolCall, ToolResultMessage, UserMessage
from flue_actors.models.attachments import Base64Cache
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.http_client import Outgoing
from flue_actors.models.openai.body import affinity_headers, chat_body, encoded_chat
from flue_actors.models.protocol import ModelRequest, ThinkingLevel
from tests.completions_api.validation import refusal
from tests.models.helpers import CSV, FILES, PDF, PNG, asking, assistant, result, tool

OWN = Outgoing(own=True, affinity="", cache=Base64Cache())
OTHER = Outgoing(own=False, affinity="", cache=Base64Cache())
CALL = ToolCall(id="c1", name="add", arguments={"a": 1})
OTHER_CALL = ToolCall(id="c2", name="add", arguments={})


def _body(request: ModelRequest, info: ModelInfo | None = None, outgoing: Outgoing = OTHER) -> dict[str, Any]:
    body = chat_body(request, info or ModelInfo(), outgoing)
    assert refusal(body, own=outgoing.own) is None
    return body


def _shot(call: str, *, text: str = "") -> ToolResultMessage:
    content = (*((TextContent(text=text),) if text else ()), PNG)
    return ToolResultMessage(tool_call_id=call, tool_name="shot", content=content, is_error=False, timestamp=0)


def test_the_prompt_goes_tools_one_system_message_history() -> None:
    request = asking("hi", instructions="static", instance_text="id 7", tools=(tool("b"), tool("a")))
    body = _body(request)
    assert [spec["function"]["name"] for spec in body["tools"]] == ["a", "b"]
    assert body["messages"] == [
        {"role": "system", "content": "static\n\nid 7"},
        {"role": "user", "content": "hi"},
    ]
    assert list(body)[-2:] == ["tools", "messages"]


def test_without_texts_and_tools_there_is_neither() -> None:
    body = _body(asking("hi"))
    assert "tools" not in body
    assert [message["role"] for message in body["messages"]] == ["user"]


def test_usage_is_asked_for() -> None:
    body = _body(asking("hi"))
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_equal_requests_are_equal_bytes() -> None:
    def encoded() -> bytes:
        tools = (tool("a", x={"type": "string"}), tool("b"))
        request = asking("hi", assistant(CALL), result("c1", "3"), tools=tools, attachments=FILES)
        return encoded_chat(request, ModelInfo(), OTHER)

    assert encoded() == encoded()


def test_calls_and_results_go_back_in_text() -> None:
    history = ("go", assistant(TextContent(text="Adding."), CALL, OTHER_CALL), result("c1", "3"), result("c2", "4"))
    messages = _body(asking(*history, "thanks"))["messages"]
    assert messages[1] == {
        "role": "assistant",
        "content": "Adding.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}},
            {"id": "c2", "type": "function", "function": {"name": "add", "arguments": "{}"}},
        ],
    }
    assert messages[2] == {"role": "tool", "tool_call_id": "c1", "content": "3"}
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool", "user"]


def test_an_empty_and_a_failed_result_say_so() -> None:
    history = ("go", assistant(CALL, OTHER_CALL), result("c1", ""), result("c2", "no disk", is_error=True))
    assert [message["content"] for message in _body(asking(*history))["messages"][2:]] == [
        "[No output.]",
        "Error: no disk",
    ]


def test_pictures_of_results_follow_the_whole_batch_in_one_user_message() -> None:
    history = ("go", assistant(CALL, OTHER_CALL), _shot("c1", text="Done."), _shot("c2"))
    messages = _body(asking(*history, "and now?", attachments=FILES))["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert [message["content"] for message in messages[2:4]] == ["Done.", "[The pictures follow.]"]
    parts = messages[4]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url", "text", "image_url", "text"]
    assert parts[0]["text"] == "[From the result of shot:]"
    assert parts[-1]["text"] == "and now?"


def test_pictures_of_the_last_results_are_shown_too_and_before_the_next_reply() -> None:
    history = ("go", assistant(CALL), _shot("c1"))
    assert _body(asking(*history, attachments=FILES))["messages"][-1]["role"] == "user"
    later = _body(asking(*history, assistant(OTHER_CALL), result("c2", "4"), attachments=FILES))["messages"]
    assert [message["role"] for message in later] == ["user", "assistant", "tool", "user", "assistant", "tool"]


def test_pictures_and_files_of_a_message_come_in_their_order() -> None:
    message = UserMessage(content=(PNG, PDF, CSV, TextContent(text="What is this?")), timestamp=0)
    parts = _body(asking(message, attachments=FILES))["messages"][0]["content"]
    assert parts == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        {
            "type": "file",
            "file": {"filename": "report.pdf", "file_data": "data:application/pdf;base64,JVBERi0x"},
        },
        {"type": "text", "text": "[The file table.csv:]\na,b\n1,2\n"},
        {"type": "text", "text": "What is this?"},
    ]


def test_attachments_that_are_gone_are_words() -> None:
    message = UserMessage(content=(PNG, PDF, CSV), timestamp=0)
    content = _body(asking(message))["messages"][0]["content"]
    assert isinstance(content, str)
    assert content.count("no longer available") == 3


def test_neighbouring_user_messages_and_signals_are_one_message() -> None:
    signal = SignalMessage(type="note", content="<x>", timestamp=0)
    body = _body(asking("a", signal, "b", assistant(), "c"))
    assert [message["role"] for message in body["messages"]] == ["user"]
    assert body["messages"][0]["content"] == 'a\n\n<signal type="note">\n&lt;x&gt;\n</signal>\n\nb\n\nc'


def test_reasoning_goes_back_in_its_own_field_to_the_model_it_came_from() -> None:
    thought = ThinkingContent(thinking="hm", signature="reasoning_content")
    nowhere = ThinkingContent(thinking="hm", signature="content")
    own = assistant(thought, nowhere, CALL, api="openai-completions", model="small")
    foreign = assistant(ThinkingContent(thinking="hm", signature="c2ln"), OTHER_CALL)
    history = ("a", own, result("c1", "3"), foreign, result("c2", "4"))
    replies = [message for message in _body(asking(*history, model="small"))["messages"] if message["role"] != "tool"]
    assert (replies[1]["reasoning_content"], replies[1]["content"]) == ("hm", None)
    assert replies[2].keys() == {"role", "content", "tool_calls"}
    another = _body(asking(*history, model="large"))["messages"][1]
    assert "reasoning_content" not in another


def test_a_call_with_invalid_arguments_goes_back_as_an_empty_object() -> None:
    broken = ToolCall(id="c1", name="add", arguments={}, invalid='{"a')
    body = _body(asking("a", assistant(broken), result("c1", "bad")))
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize(
    ("asked", "most", "sent"), [(None, None, None), (None, 9_000, 9_000), (50, None, 50), (99_000, 9_000, 9_000)]
)
def test_max_tokens_are_sent_where_known_and_named_as_the_server_knows_them(
    asked: int | None, most: int | None, sent: int | None
) -> None:
    request = asking("hi", max_tokens=asked)
    assert _body(request, ModelInfo(max_tokens=most)).get("max_tokens") == sent
    assert _body(request, ModelInfo(max_tokens=most), OWN).get("max_completion_tokens") == sent


@pytest.mark.parametrize(
    ("level", "effort", "always"),
    [
        ("off", "none", "low"),
        ("minimal", "low", "low"),
        ("low", "low", "low"),
        ("medium", "medium", "medium"),
        ("high", "high", "high"),
        ("xhigh", "xhigh", "xhigh"),
    ],
)
def test_models_known_to_reason_get_an_effort(level: ThinkingLevel, effort: str, always: str) -> None:
    request = asking("hi", thinking=level)
    assert _body(request, ModelInfo(thinking="adaptive", top_effort="xhigh"))["reasoning_effort"] == effort
    assert _body(request, ModelInfo(thinking="always", top_effort="xhigh"))["reasoning_effort"] == always
    assert "reasoning_effort" not in _body(request)


def test_the_conversation_is_named_where_the_server_can_know_it() -> None:
    own = Outgoing(own=True, affinity="hash", cache=Base64Cache())
    other = Outgoing(own=False, affinity="hash", cache=Base64Cache())
    assert _body(asking("hi"), outgoing=own)["prompt_cache_key"] == "hash"
    assert affinity_headers(own) == {}
    assert "prompt_cache_key" not in _body(asking("hi"), outgoing=other)
    assert affinity_headers(other) == {"x-session-affinity": "hash"}
    assert affinity_headers(OTHER) == {}


def test_a_result_is_promised_where_the_model_can() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}}
    body = _body(asking("hi", result_schema=schema), ModelInfo(native_results=True))
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["n"]
    assert "response_format" not in _body(asking("hi", result_schema=schema))
    assert "response_format" not in _body(asking("hi", result_schema={"type": "array"}), ModelInfo(native_results=True))


def test_tools_that_shall_not_be_called_are_sent_all_the_same() -> None:
    body = _body(asking("hi", tools=(tool("a"),), use_tools=False))
    assert (body["tool_choice"], len(body["tools"])) == ("none", 1)
    assert "tool_choice" not in _body(asking("hi", use_tools=False))
