import time

import pytest

from flue_actors.errors import InvalidRequestError
from flue_actors.gateway.preferences import RESPOND_ASYNC, check_idempotency_key, prefers


@pytest.mark.parametrize(
    "header",
    [
        "respond-async",
        "Respond-Async",
        "wait=10, respond-async",
        "respond-async,wait=10",
        " , respond-async ; a=b ; c",
        'respond-async; note="a, b; c"',
        'handling="a \\", b", respond-async',
        'respond-async=""',
        "return=minimal,respond-async",
    ],
)
def test_an_answer_before_the_work_is_done_can_be_preferred(header: str) -> None:
    assert prefers(header, RESPOND_ASYNC)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "respond-asynchronously",
        "wait=10; respond-async",
        "respond-async=1",
        'respond-async="no"',
        'note="x, respond-async"',
        'note="x\\", respond-async"',
        'note="never closed, respond-async',
    ],
)
def test_what_only_looks_like_it_is_not_it(header: str | None) -> None:
    assert not prefers(header, RESPOND_ASYNC)


@pytest.mark.parametrize("piece", ['"', '\\"', ",", ";", "=", 'a="', " "])
def test_no_header_takes_long_to_read(piece: str) -> None:
    began = time.process_time()
    prefers('"' + piece * (64 * 1024 // len(piece)), RESPOND_ASYNC)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("key", ["k", "~" * 256, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "a,b"])
def test_visible_characters_are_a_key(key: str) -> None:
    assert check_idempotency_key(key) == key


def test_no_key_is_none() -> None:
    assert check_idempotency_key(None) is None


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 257, "é", "a\n", "\0"])
def test_anything_else_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequestError):
        check_idempotency_key(key)
