from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.errors import ContextOverflowError, ModelError, ModelOverloadedError, ModelRefusedError
from flue_actors.messages import TextContent, ThinkingContent, ToolCall
from flue_actors.models.openai.content import REASONING_FIELDS
from flue_actors.models.openai.decoder import ChatDecoder
from flue_actors.models.protocol import ModelEvent, ReplyDone, TextDelta, ThinkingDelta, ThinkingEnd, ThinkingStart
from tests.completions_api.replies import DONE, frame, frames
from tests.messages_api.cache import InputTokens
from tests.messages_api.replies import Block, Reply
from tests.models.helpers import done_of, streamed

TOKENS = InputTokens(fresh=10, cache_read=20, cache_write=0)
THINKING: Block = {"type": "thinking", "thinking": "let me see"}
TEXT: Block = {"type": "text", "text": 'Grüße, 🌍! \\ "quoted"\n\nnew paragraph'}
CALL: Block = {"type": "tool_use", "id": "t1", "name": "add", "raw": '{"a": 1, "b": "zwei €"}'}


def _frames(*blocks: Block, stop: str = "end_turn", size: int = 5, reasoning: str = "reasoning_content") -> list[bytes]:
    return frames(Reply(blocks, stop, 7), "m", TOKENS, 1, size=size, reasoning=reasoning)


def _chunk(finish: str | None = None, **delta: Any) -> bytes:
    return frame({"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _decode(pieces: Iterable[bytes]) -> list[ModelEvent]:
    decoder = ChatDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events if decoder.done else events + decoder.finish()


def _merged(events: Iterable[ModelEvent]) -> list[ModelEvent]:
    """Neighbouring text deltas as one: how they are cut depends on how the bytes arrived."""
    merged: list[ModelEvent] = []
    for event in events:
        if isinstance(event, TextDelta) and merged and isinstance(last := merged[-1], TextDelta):
            merged[-1] = TextDelta(last.text + event.text)
        else:
            merged.append(event)
    return merged


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
def test_a_reply_becomes_its_events_in_order(field: str) -> None:
    events = _decode(_frames(THINKING, TEXT, CALL, stop="tool_use", reasoning=field))
    assert _merged(events) == [
        ThinkingStart(),
        ThinkingDelta("let m"),
        ThinkingDelta("e see"),
        ThinkingEnd("let me see"),
        TextDelta(TEXT["text"]),
        done_of(events),
    ]
    assert done_of(events).content == (
        ThinkingContent(thinking="let me see", signature=field),
        TextContent(text=TEXT["text"]),
        ToolCall(id="t1", name="add", arguments={"a": 1, "b": "zwei €"}),
    )
    assert done_of(events).stop_reason == "toolUse"


@given(st.data())
def test_it_makes_no_difference_how_the_bytes_are_cut(data: st.DataObject) -> None:
    stream = b"".join(_frames(THINKING, TEXT, CALL, stop="tool_use", size=3))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=40)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    assert _merged(_decode(pieces)) == _merged(_decode([stream]))


def test_byte_by_byte_is_the_same_too() -> None:
    stream = b"".join(_frames(TEXT, size=1))
    assert _merged(_decode(bytes([byte]) for byte in stream)) == _merged(_decode([stream]))


@given(st.data())
def test_a_stream_that_is_cut_anywhere_is_whole_or_may_be_tried_again(data: st.DataObject) -> None:
    stream = b"".join(_frames(THINKING, TEXT, CALL, stop="tool_use", size=3))
    cut = data.draw(st.integers(0, len(stream)))
    try:
        done = done_of(_decode([stream[:cut]]))
    except ModelError as error:
        assert error.retryable
    else:
        assert done.content == done_of(_decode([stream])).content


ODD = [
    frame(event)
    for event in (
        {"choices": None, "usage": {"prompt_tokens": None, "prompt_tokens_details": None}},
        {"choices": [{"delta": None, "finish_reason": 7}]},
        {"choices": [{"delta": {"content": [{"type": "text"}]}}]},
        {"choices": [{"delta": {"tool_calls": [{}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": {}}}]}}]},
        {"choices": [{"delta": {"tool_calls": None, "reasoning": "", "refusal": ""}, "finish_reason": "stop"}]},
        {"error": {"code": {}, "type": [], "message": 1}},
        {"error": []},
        {},
    )
] + [DONE]


@given(st.data())
def test_garbage_is_an_error_of_the_model_and_nothing_else(data: st.DataObject) -> None:
    lines = data.draw(st.lists(st.sampled_from([*_frames(THINKING, TEXT, CALL, stop="tool_use"), *ODD]), max_size=12))
    stream = bytearray(b"".join(lines))
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 255)), max_size=6)):
        stream[place : place + 1] = bytes([byte])
    with suppress(ModelError):
        _decode([bytes(stream)])


def test_carriage_returns_comments_and_other_fields_are_skipped() -> None:
    comment = b": OPENROUTER PROCESSING\n\nevent: chunk\nid: 7\n\n"
    stream = b"".join([comment, *_frames(TEXT)]).replace(b"\n", b"\r\n")
    assert streamed(_decode([stream])) == TEXT["text"]


def test_calls_side_by_side_are_told_apart_by_index() -> None:
    first = {"index": 0, "id": "a", "function": {"name": "add", "arguments": '{"x"'}}
    second = {"index": 1, "id": "b", "function": {"name": "sub", "arguments": ""}}
    rest = [{"index": 1, "function": {"arguments": "{}"}}, {"index": 0, "function": {"arguments": ": 1}"}}]
    events = _decode([_chunk(tool_calls=[first, second]), _chunk(tool_calls=rest), _chunk("tool_calls"), DONE])
    assert done_of(events).content == (
        ToolCall(id="a", name="add", arguments={"x": 1}),
        ToolCall(id="b", name="sub", arguments={}),
    )


@pytest.mark.parametrize("index", [{}, {"index": 0}], ids=["no index", "the same index"])
def test_calls_without_an_index_of_their_own_are_told_apart_by_id(index: dict[str, int]) -> None:
    parts = [
        {"id": "a", "function": {"name": "add", "arguments": "{"}},
        {"function": {"arguments": "}"}},
        {"id": "b", "function": {"name": "sub", "arguments": "{}"}},
    ]
    events = _decode([*(_chunk(tool_calls=[part | index]) for part in parts), _chunk("stop"), DONE])
    assert done_of(events).content == (
        ToolCall(id="a", name="add", arguments={}),
        ToolCall(id="b", name="sub", arguments={}),
    )
    assert done_of(events).stop_reason == "toolUse"


def test_arguments_may_be_an_object_at_once() -> None:
    part = {"index": 0, "id": "a", "function": {"name": "add", "arguments": {"x": 1}}}
    (call,) = done_of(_decode([_chunk(tool_calls=[part]), _chunk("tool_calls"), DONE])).content
    assert call == ToolCall(id="a", name="add", arguments={"x": 1})


def test_counts_in_floats_and_an_index_of_null_are_read() -> None:
    usage = {"prompt_tokens": 12.0, "completion_tokens": "3"}
    chunk = frame({"choices": [{"index": None, "delta": {"content": "hi"}, "finish_reason": "stop"}], "usage": usage})
    done = done_of(_decode([chunk, DONE]))
    assert (done.content, done.usage.total_tokens) == ((TextContent(text="hi"),), 15)


def test_a_name_and_id_that_are_repeated_are_said_once() -> None:
    part = {"index": 0, "id": "a", "function": {"name": "add", "arguments": ""}}
    (call,) = done_of(
        _decode([_chunk(tool_calls=[part]), _chunk(tool_calls=[part]), _chunk("tool_calls"), DONE])
    ).content
    assert call == ToolCall(id="a", name="add", arguments={})


@pytest.mark.parametrize("named", [{}, {"id": ""}, {"index": 0, "id": ""}, {"index": 0}])
def test_whole_calls_without_an_id_are_told_apart_by_their_names(named: dict[str, Any]) -> None:
    parts = [{"function": {"name": "add", "arguments": f'{{"x": {number}}}'}} | named for number in range(3)]
    for chunks in ([_chunk(tool_calls=parts)], [_chunk(tool_calls=[part]) for part in parts]):
        calls = done_of(_decode([*chunks, _chunk("tool_calls"), DONE])).content
        assert [call.arguments for call in calls if isinstance(call, ToolCall)] == [{"x": 0}, {"x": 1}, {"x": 2}]


def test_a_name_that_is_repeated_amid_the_arguments_is_no_other_call() -> None:
    parts = [{"function": {"name": "add", "arguments": piece}} for piece in ('{"x"', ": 1}")]
    (call,) = done_of(_decode([*[_chunk(tool_calls=[part]) for part in parts], _chunk("stop"), DONE])).content
    assert call == ToolCall(id="call_x_0", name="add", arguments={"x": 1})


def test_a_call_that_was_cut_off_before_its_arguments_does_not_run_without() -> None:
    parts = [{"index": number, "id": f"c{number}", "function": {"name": "wipe"}} for number in range(2)]
    done = done_of(_decode([_chunk(tool_calls=parts), _chunk("length"), DONE]))
    assert done.stop_reason == "length"
    assert [call.invalid for call in done.content if isinstance(call, ToolCall)] == [None, ""]


def test_content_in_parts_is_read() -> None:
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    text = [{"type": "text", "text": "Well"}, {"type": "reference", "reference_ids": [1]}]
    events = _decode([_chunk(content=part) for part in (thinking, text, ", yes.")] + [_chunk("stop"), DONE])
    assert _merged(events)[:-1] == [
        ThinkingStart(),
        ThinkingDelta("Hm."),
        ThinkingEnd("Hm."),
        TextDelta("Well, yes."),
    ]
    content = done_of(events).content
    assert [type(block) for block in content] == [ThinkingContent, TextContent]
    assert isinstance(content[0], ThinkingContent)
    assert content[0].signature not in REASONING_FIELDS


def test_calls_without_an_id_get_one_each() -> None:
    parts = [{"index": number, "function": {"name": "add"}} for number in range(2)]
    calls = done_of(_decode([_chunk(tool_calls=parts), _chunk("tool_calls"), DONE])).content
    assert [call.id for call in calls if isinstance(call, ToolCall)] == ["call_x_0", "call_x_1"]


@pytest.mark.parametrize("raw", ['{"a": 1', "[1]", "nonsense", '"text"', '{"a":' + "[" * 100_000])
def test_arguments_that_are_no_json_object_are_kept_as_invalid(raw: str) -> None:
    (call,) = done_of(_decode(_frames(CALL | {"raw": raw}, stop="tool_use"))).content
    assert call == ToolCall(id="t1", name="add", arguments={}, invalid=raw)


@pytest.mark.parametrize(("sent", "mapped"), [("end_turn", "stop"), ("max_tokens", "length"), ("tool_use", "stop")])
def test_stop_reasons_are_mapped(sent: str, mapped: str) -> None:
    assert done_of(_decode(_frames(TEXT, stop=sent))).stop_reason == mapped


def test_a_filtered_reply_and_a_refusal_are_errors_of_their_own() -> None:
    with pytest.raises(ModelRefusedError):
        _decode(_frames(TEXT, stop="refusal"))
    with pytest.raises(ModelRefusedError):
        _decode([_chunk(refusal="I cannot."), _chunk("stop"), DONE])


def test_cached_tokens_stand_apart() -> None:
    usage = done_of(_decode(_frames(TEXT))).usage
    assert (usage.input, usage.cache_read, usage.output, usage.total_tokens) == (10, 20, 7, 37)


@pytest.mark.parametrize(
    "cached", [{"prompt_tokens_details": {"cached_tokens": 4}}, {"cached_tokens": 4}, {"prompt_cache_hit_tokens": 4}]
)
def test_cached_tokens_are_found_where_servers_put_them(cached: dict[str, Any]) -> None:
    counts = frame({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 2} | cached})
    usage = done_of(_decode([_chunk("stop", content="hi"), counts, DONE])).usage
    assert (usage.input, usage.cache_read, usage.output) == (6, 4, 2)


def test_reasoning_that_is_counted_in_the_total_alone_is_output() -> None:
    counts = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135}
    usage = done_of(_decode([_chunk("stop", content="hi"), frame({"choices": [], "usage": counts}), DONE])).usage
    assert (usage.input, usage.output, usage.total_tokens) == (32, 103, 135)


@pytest.mark.parametrize("page", [b"<html>\n<title>502 Bad Gateway</title>", b'{"error": {"message": "later"}}'])
def test_an_answer_that_is_no_stream_is_shown_to_the_developer(page: bytes) -> None:
    with pytest.raises(ModelError) as failed:
        _decode([page])
    assert failed.value.retryable
    assert page.splitlines()[0].decode() in str(failed.value.dev)


def test_a_server_that_counts_nothing_is_put_up_with() -> None:
    assert done_of(_decode([_chunk(content="hi"), _chunk("stop"), DONE])).usage.total_tokens == 0


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_the_end_of_the_response_ends_a_finished_reply_too(end: bytes) -> None:
    without_done = [_chunk(content="hi"), _chunk("stop").rstrip(b"\n") + end]
    assert done_of(_decode(without_done)).content == (TextContent(text="hi"),)


@pytest.mark.parametrize("cut", [0, 3, -3])
def test_a_stream_without_a_finish_reason_may_be_tried_again(cut: int) -> None:
    for pieces in (_frames(TEXT)[:cut], [*_frames(TEXT)[:cut], DONE]):
        with pytest.raises(ModelError) as failed:
            _decode(pieces)
        assert failed.value.retryable


@pytest.mark.parametrize(
    "line",
    [
        b'data: {"choices":[{"del\n\n',
        b'data: {"choices":7}\n\n',
        b"data: \xff\xfe\n\n",
        b"data: [1]\n\n",
        b'data: {"later":' + b"[" * 100_000 + b"\n\n",
    ],
)
def test_events_that_make_no_sense_may_be_tried_again(line: bytes) -> None:
    with pytest.raises(ModelError) as failed:
        _decode([line])
    assert failed.value.retryable


@pytest.mark.parametrize(
    ("reported", "error", "retryable"),
    [
        ({"message": "secret", "code": 503}, ModelOverloadedError, True),
        ({"message": "secret", "code": "429"}, ModelOverloadedError, True),
        ({"message": "secret", "type": "overloaded_error"}, ModelOverloadedError, True),
        ({"message": "secret", "code": "context_length_exceeded"}, ContextOverflowError, False),
        ({"message": "secret", "type": "invalid_request_error", "code": None}, ModelError, False),
        ({"message": "secret", "code": 400}, ModelError, False),
        ({"message": "secret", "code": "no idea"}, ModelError, True),
        ("secret", ModelError, True),
        ({}, ModelError, True),
    ],
)
def test_errors_in_the_middle_are_told_apart(reported: Any, error: type[ModelError], retryable: bool) -> None:
    with pytest.raises(error) as failed:
        _decode([*_frames(TEXT)[:4], frame({"error": reported})])
    assert failed.value.retryable is retryable
    assert "secret" not in failed.value.message + failed.value.details


def test_bytes_after_the_end_and_other_choices_are_ignored() -> None:
    other = frame({"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]})
    events = _decode([other, *_frames(TEXT), b"data: nonsense\n\n"])
    assert isinstance(events[-1], ReplyDone)
    assert streamed(events) == TEXT["text"]


def test_an_endless_line_is_refused() -> None:
    decoder = ChatDecoder()
    with pytest.raises(ModelError):
        for _ in range(20):
            decoder.feed(b"data: " + b"x" * 1_000_000)
