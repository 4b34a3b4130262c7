import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.errors import InvalidJsonError, InvalidRequestError
from flue_actors.gateway.wire import PingFrame, PromptBody, PromptFrame, decode_client_frame, decode_prompt

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
    ],
)
def test_a_frame_of_another_shape_is_an_invalid_request(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        decode_client_frame(text)
