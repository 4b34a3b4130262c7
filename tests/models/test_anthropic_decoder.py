from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.errors import ContextOverflowError, ModelError, ModelOverloadedError, ModelRefusedError
from flue_actors.messages import TextContent, ThinkingContent, ToolCall
from flue_actors.models.anthropic.decoder import StreamDecoder
from flue_actors.models.protocol import ModelEvent, ReplyDone, TextDelta, ThinkingDelta, ThinkingEnd, ThinkingStart
from tests.messages_api.cache import InputTokens
from tests.messages_api.replies import Block, Reply, frame, frames
from tests.models.helpers import done_of, streamed

TOKENS = InputTokens(fresh=10, cache_read=20, cache_write=30)
THINKING: Block = {"type": "thinking", "thinking": "let me see", "signature": "c2ln"}
TEXT: Block = {"type": "text", "text": 'Grüße, 🌍! \\ "quoted"\n\nnew paragraph'}
CALL: Block = {"type": "tool_use", "id": "t1", "name": "add", "raw": '{"a": 1, "b": "zwei €"}'}


def _frames(*blocks: Block, stop: str = "end_turn", size: int = 5) -> list[bytes]:
    return frames(Reply(blocks, stop, 7), "m", TOKENS, 1, size=size)


def _decode(pieces: Iterable[bytes], decoder: StreamDecoder | None = None) -> list[ModelEvent]:
    decoder = decoder or StreamDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    decoder.finish()
    return events


def _merged(events: Iterable[ModelEvent]) -> list[ModelEvent]:
    """Neighbouring text deltas as one: how they are cut depends on how the bytes arrived."""
    merged: list[ModelEvent] = []
    for event in events:
        if isinstance(event, TextDelta) and merged and isinstance(last := merged[-1], TextDelta):
            merged[-1] = TextDelta(last.text + event.text)
        else:
            merged.append(event)
    return merged


def test_a_reply_becomes_its_events_in_order() -> None:
    events = _decode(_frames(THINKING, TEXT, CALL, stop="tool_use"))
    assert _merged(events) == [
        ThinkingStart(),
        ThinkingDelta("let m"),
        ThinkingDelta("e see"),
        ThinkingEnd("let me see"),
        TextDelta(TEXT["text"]),
        done_of(events),
    ]
    assert done_of(events).content == (
        ThinkingContent(thinking="let me see", signature="c2ln"),
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


def test_deltas_that_arrive_together_leave_as_one() -> None:
    events = _decode([b"".join(_frames(TEXT, size=1))])
    assert [event for event in events if isinstance(event, TextDelta)] == [TextDelta(TEXT["text"])]


def test_carriage_returns_comments_and_unknown_events_are_skipped() -> None:
    later = frame("message_later", {"type": "message_later", "note": {"of": "no concern"}})
    comment = b": keep-alive\n\n"
    stream = b"".join([comment, later, *_frames(TEXT)]).replace(b"\n", b"\r\n")
    assert streamed(_decode([stream])) == TEXT["text"]


def test_unknown_blocks_and_deltas_are_skipped() -> None:
    odd_start = {"type": "content_block_start", "index": 9, "content_block": {"type": "hologram", "data": "x"}}
    odd_delta = {"type": "content_block_delta", "index": 9, "delta": {"type": "photon_delta", "photons": 3}}
    stream = _frames(TEXT)
    stream[2:2] = [frame("content_block_start", odd_start), frame("content_block_delta", odd_delta)]
    assert done_of(_decode(stream)).content == (TextContent(text=TEXT["text"]),)


def test_what_others_who_speak_this_protocol_leave_out_is_put_up_with() -> None:
    thinking = {"type": "thinking", "thinking": "", "signature": None}
    call = {"type": "tool_use", "id": None, "name": "add", "input": None}
    events = _decode(
        [
            frame("message_start", {"type": "message_start", "message": {"usage": None}}),
            frame("content_block_start", {"type": "content_block_start", "index": 0, "content_block": thinking}),
            _delta(0, {"type": "thinking_delta", "thinking": "Hm."}),
            _delta(0, {"type": "signature_delta", "signature": None}),
            frame(
                "content_block_start", {"type": "content_block_start", "index": 1, "content_block": {"type": "text"}}
            ),
            _delta(1, {"type": "text_delta", "text": "Well."}),
            _delta(1, {"type": "text_delta", "text": None}),
            frame("content_block_start", {"type": "content_block_start", "index": 2, "content_block": call}),
            frame(
                "message_delta",
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": "tool_use"},
                    "usage": {"input_tokens": 10.0, "output_tokens": 2},
                },
            ),
            frame("message_stop", {"type": "message_stop"}),
        ]
    )
    done = done_of(events)
    assert done.content == (
        ThinkingContent(thinking="Hm."),
        TextContent(text="Well."),
        ToolCall(id="call_2", name="add", arguments={}),
    )
    assert (done.usage.input, done.usage.output) == (10, 2)


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return frame("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})


def test_redacted_reasoning_keeps_its_data() -> None:
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "redacted_thinking", "data": "xyz"}}
    stream = _frames()
    stream[2:2] = [frame("content_block_start", start)]
    assert done_of(_decode(stream)).content == (ThinkingContent(thinking="", redacted="xyz"),)


def test_a_call_without_arguments_has_an_empty_object() -> None:
    (call,) = done_of(_decode(_frames(CALL | {"raw": ""}, stop="tool_use"))).content
    assert call == ToolCall(id="t1", name="add", arguments={})


def test_a_call_that_was_cut_off_before_its_arguments_does_not_run_without() -> None:
    done = done_of(_decode(_frames(CALL | {"raw": ""}, CALL | {"id": "t2", "raw": ""}, stop="max_tokens")))
    assert done.stop_reason == "length"
    assert [call.invalid for call in done.content if isinstance(call, ToolCall)] == [None, ""]


@pytest.mark.parametrize("raw", ['{"a": 1', "[1]", "nonsense", '"text"', '{"a":' + "[" * 100_000])
def test_arguments_that_are_no_json_object_are_kept_as_invalid(raw: str) -> None:
    (call,) = done_of(_decode(_frames(CALL | {"raw": raw}, stop="tool_use"))).content
    assert call == ToolCall(id="t1", name="add", arguments={}, invalid=raw)


@pytest.mark.parametrize(
    ("sent", "mapped"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "toolUse"),
        ("something_new", "stop"),
    ],
)
def test_stop_reasons_are_mapped(sent: str, mapped: str) -> None:
    assert done_of(_decode(_frames(TEXT, stop=sent))).stop_reason == mapped


def test_a_refusal_is_an_error_of_its_own() -> None:
    with pytest.raises(ModelRefusedError):
        _decode(_frames(TEXT, stop="refusal"))


def test_a_reply_that_filled_the_window_is_a_context_that_is_too_long() -> None:
    with pytest.raises(ContextOverflowError) as failed:
        _decode(_frames(TEXT, stop="model_context_window_exceeded"))
    assert not failed.value.retryable


def test_usage_counts_every_kind_of_token() -> None:
    usage = done_of(_decode(_frames(TEXT))).usage
    assert (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.total_tokens) == (10, 20, 30, 7, 67)


def test_an_answer_that_is_no_stream_is_shown_to_the_developer() -> None:
    with pytest.raises(ModelError) as failed:
        _decode([b"<html>Please log in</html>"])
    assert "<html>Please log in" in str(failed.value.dev)


def test_a_stream_that_ends_early_may_be_tried_again() -> None:
    for cut in (0, 3, -1):
        with pytest.raises(ModelError) as failed:
            _decode(_frames(TEXT)[:cut])
        assert failed.value.retryable


@pytest.mark.parametrize(
    "line",
    [
        b'data: {"type":"content_block_del\n\n',
        b'data: {"type":7}\n\n',
        b"data: \xff\xfe\n\n",
        b'data: {"type":"content_block_delta","index":42,"delta":{"type":"text_delta","text":"x"}}\n\n',
        b'data: {"type":"content_block_start","index":0}\n\n',
        b'data: {"type":"later","deep":' + b"[" * 100_000 + b"\n\n",
    ],
)
def test_events_that_make_no_sense_may_be_tried_again(line: bytes) -> None:
    with pytest.raises(ModelError) as failed:
        _decode([line])
    assert failed.value.retryable


@pytest.mark.parametrize(
    ("kind", "error", "retryable"),
    [
        ("overloaded_error", ModelOverloadedError, True),
        ("rate_limit_error", ModelOverloadedError, True),
        ("api_error", ModelError, True),
        ("something_new", ModelError, True),
        ("invalid_request_error", ModelError, False),
    ],
)
def test_errors_in_the_middle_are_told_apart(kind: str, error: type[ModelError], retryable: bool) -> None:
    event = frame("error", {"type": "error", "error": {"type": kind, "message": "secret words"}})
    with pytest.raises(error) as failed:
        _decode([*_frames(TEXT)[:4], event])
    assert failed.value.retryable is retryable
    assert "secret" not in failed.value.message + failed.value.details


def test_bytes_after_the_end_are_ignored() -> None:
    events = _decode([*_frames(TEXT), b"data: nonsense\n\n"])
    assert isinstance(events[-1], ReplyDone)


def test_an_endless_line_is_refused() -> None:
    decoder = StreamDecoder()
    with pytest.raises(ModelError):
        for _ in range(20):
            decoder.feed(b"data: " + b"x" * 1_000_000)


ODD = [
    frame("x", event)
    for event in (
        {"type": "content_block_delta", "index": "one"},
        {"type": "content_block_delta", "index": 0, "delta": None},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 7}},
        {"type": "content_block_start", "index": 0, "content_block": {}},
        {"type": "content_block_stop", "index": 99},
        {"type": "message_delta", "delta": {"stop_reason": 1}, "usage": []},
        {"type": "message_stop"},
        {"type": "error", "error": "words"},
        {"type": "error"},
        {},
    )
]


@given(st.data())
def test_garbage_is_an_error_of_the_model_and_nothing_else(data: st.DataObject) -> None:
    lines = data.draw(st.lists(st.sampled_from([*_frames(THINKING, TEXT, CALL, stop="tool_use"), *ODD]), max_size=12))
    stream = bytearray(b"".join(lines))
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 255)), max_size=6)):
        stream[place : place + 1] = bytes([byte])
    with suppress(ModelError):
        _decode([bytes(stream)])
