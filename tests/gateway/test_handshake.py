import base64

import pytest

from flue_actors.errors import ForbiddenOriginError, InvalidRequestError
from flue_actors.gateway.handshake import accepted_subprotocol, check_origin, offered_token


def token(text: bytes) -> str:
    return "bearer." + base64.urlsafe_b64encode(text).decode().rstrip("=")


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "a.test", []),
        ("http://a.test", "a.test", []),
        ("https://a.test:8443", "A.test:8443", []),
        ("https://b.test", "a.test", ["https://b.test"]),
        ("null", "a.test", ["*"]),
    ],
)
def test_a_welcome_origin_passes(origin: str | None, host: str, allowed: list[str]) -> None:
    check_origin(origin, host, allowed)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.test", "a.test"),
        ("https://a.test.evil.test", "a.test"),
        ("https://a.test:1", "a.test"),
        ("https://user@a.test", "a.test"),
        ("null", "a.test"),
        ("", "a.test"),
        ("a.test", "a.test"),
        ("https://[", "a.test"),
        ("https://a.test", None),
    ],
)
def test_another_origin_is_forbidden(origin: str, host: str | None) -> None:
    with pytest.raises(ForbiddenOriginError):
        check_origin(origin, host, ["https://b.test"])


def test_only_our_own_subprotocol_is_ever_echoed() -> None:
    assert accepted_subprotocol(["bearer.abc", "flue.v1"]) == "flue.v1"
    assert accepted_subprotocol(["bearer.abc", "flue.v2"]) is None


def test_a_token_comes_out_of_the_subprotocols() -> None:
    assert offered_token(["flue.v1", token(b"s3cret/+?")]) == "s3cret/+?"
    assert offered_token(["flue.v1"]) is None


@pytest.mark.parametrize("entry", ["bearer.", "bearer.!!", "bearer.a", token(b"\xff"), token(b"a\r\nb"), token(b"\0")])
def test_a_token_that_is_no_printable_text_is_refused(entry: str) -> None:
    with pytest.raises(InvalidRequestError):
        offered_token(["flue.v1", entry])
