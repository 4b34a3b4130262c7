import contextlib
import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.errors import InvalidJsonError, InvalidRequestError
from flue_actors.gateway.enclosures import enclosed
from flue_actors.gateway.wire import (
    DecideFrame,
    PingFrame,
    PromptBody,
    PromptFrame,
    decode_client_frame,
    decode_decision,
    decode_prompt,
)

TYPES = st.sampled_from(["image/png", "application/pdf", "text/plain", "x"])


def base64(data: bytes) -> str:
    return b64encode(data).decode()


NOT_JSON = [
    b"{",
    b"nope",
    b'{"message":"hi"',
    b'{"message":"hi"}}',
    b'{"message":"\\ud800"}',
    b'{"message":"\\udc00\\ud800"}',
    b'{"message":"\xff"}',
    b'{"message":"\xed\xa0\x80"}',
    b'{"message":"hi","other":"\xff"}',
    b'{"message":"hi","other":"\\ud800"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"message":"hi","other":' + b"[" * 100_000,
    b'{"message":"a\nb"}',
    b"[1,",
    b"\xef\xbb\xbf{}",
]

WRONG = [
    b"",
    b"{}",
    b"[]",
    b"1",
    b'"hi"',
    b"null",
    b'{"message":1}',
    b'{"message":null}',
    b'{"message":["hi"]}',
    b'{"message":"hi","session":1}',
    b'{"message":"hi","session":null}',
    b'{"message":"hi","ifBusy":"maybe"}',
    b'{"message":"hi","cancelOnDisconnect":1}',
    b'{"message":"hi","images":{}}',
    b'{"message":"hi","images":[null]}',
    b'{"message":"hi","files":[{"type":"image","data":"","mimeType":"image/png"}]}',
    b'{"message":"hi","result":[]}',
]


@pytest.mark.parametrize("body", NOT_JSON)
def test_what_is_not_json_is_invalid_json(body: bytes) -> None:
    with pytest.raises(InvalidJsonError):
        decode_prompt(body)


@pytest.mark.parametrize("body", WRONG)
def test_json_of_another_shape_is_an_invalid_request(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        decode_prompt(body)


def test_unknown_fields_are_ignored() -> None:
    assert decode_prompt(b'{"message":"hi","others":[1,{"a":null}]}') == PromptBody(message="hi")


def test_a_surrogate_pair_is_a_character() -> None:
    assert decode_prompt(b'{"message":"\\ud83d\\ude42"}').message == "🙂"


@given(st.text())
def test_every_text_survives_the_body(message: str) -> None:
    assert decode_prompt(json.dumps({"message": message}).encode()).message == message


@given(st.binary(max_size=200))
def test_bytes_are_a_prompt_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidJsonError, InvalidRequestError):
        decode_prompt(body)


def test_a_prompt_frame_names_its_session() -> None:
    text = '{"version":1,"type":"prompt","requestId":"r","message":"hi","session":"x","ifBusy":"reject"}'
    frame = decode_client_frame(text)
    assert frame == PromptFrame(version=1, request_id="r", message="hi", session="x", if_busy="reject")


def test_a_ping_frame_needs_no_request_id() -> None:
    assert decode_client_frame('{"version":1,"type":"ping"}') == PingFrame(version=1)


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"ping"}',
        '{"version":2,"type":"ping"}',
        '{"version":"1","type":"ping"}',
        '{"version":1,"type":"abort"}',
        '{"version":1}',
        '{"version":1,"type":"prompt","requestId":"r"}',
        '{"version":1,"type":"prompt","message":"hi"}',
        '{"version":1,"type":"prompt","requestId":7,"message":"hi"}',
        '{"version":1,"type":"decide","requestId":"r","approvalId":"a"}',
        '{"version":1,"type":"decide","requestId":"r","decision":"deny"}',
        '{"version":1,"type":"decide","requestId":"r","approvalId":"a","decision":"denied"}',
    ],
)
def test_a_frame_of_another_shape_is_an_invalid_request(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        decode_client_frame(text)


def test_a_decide_frame_names_the_call() -> None:
    text = '{"version":1,"type":"decide","requestId":"r","approvalId":"t.c","decision":"deny","reason":"no"}'
    frame = decode_client_frame(text)
    assert frame == DecideFrame(version=1, request_id="r", approval_id="t.c", decision="deny", reason="no")


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from(["image", "file", "aGk=", "a==="])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "data", "mimeType", "name", "x"]), inner, max_size=5)
    ),
    max_leaves=12,
)
ENCLOSED = st.fixed_dictionaries(
    {"type": st.sampled_from(["image", "file"]) | LEAVES, "data": LEAVES | st.binary().map(base64), "mimeType": TYPES},
    optional={"name": LEAVES},
)
PARTS = st.lists(ENCLOSED | JSON, max_size=3) | JSON
DECISION = {"decision": LEAVES | st.sampled_from(["approve", "deny"]), "reason": LEAVES}


@given(st.fixed_dictionaries({"message": st.just("hi")}, optional={"images": PARTS, "files": PARTS, "result": JSON}))
def test_whatever_comes_along_is_taken_or_refused(body: dict[str, object]) -> None:
    with contextlib.suppress(InvalidRequestError):
        enclosed(decode_prompt(json.dumps(body).encode()))


@given(
    st.binary(max_size=100) | st.fixed_dictionaries({}, optional=DECISION).map(lambda each: json.dumps(each).encode())
)
def test_bytes_are_a_decision_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidJsonError, InvalidRequestError):
        assert decode_decision(body).decision in {"approve", "deny"}


@given(st.binary(max_size=300))
def test_every_text_file_survives_the_body(data: bytes) -> None:
    part = {"type": "file", "data": base64(data), "mimeType": "text/plain", "name": "a.txt"}
    sent = decode_prompt(json.dumps({"message": "hi", "files": [part]}).encode())
    assert sent.files[0].data == data


def test_a_word_that_is_none_is_answered_with_those_that_are() -> None:
    asked = {
        b'{"decision": "approved"}': (decode_decision, "It is one of: approve, deny."),
        b'{"message": "hi", "ifBusy": "wait"}': (
            decode_prompt,
            "It is one of: queue, reject, interrupt, steer, merge, supersede.",
        ),
    }
    for body, (decode, words) in asked.items():
        with pytest.raises(InvalidRequestError) as refused:
            decode(body)
        assert refused.value.details == words
    with pytest.raises(InvalidRequestError) as refused:
        decode_client_frame('{"version":1,"type":"decide","requestId":"d","approvalId":"c1","decision":"yes"}')
    assert refused.value.details == "It is one of: approve, deny."
