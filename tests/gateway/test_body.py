from typing import Any

import pytest

from flue_actors.errors import InvalidRequestError, MediaTypeError, TooLargeError
from flue_actors.gateway.asgi import Receive
from flue_actors.gateway.body import read_body

JSON = "application/json"
GONE = {"type": "http.disconnect"}


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


class Parts:
    """A `receive` that hands out these events and counts."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = list(events)

    async def __call__(self) -> dict[str, Any]:
        return self.events.pop(0)


async def read(receive: Receive, length: str | None = None, kind: str | None = JSON, limit: int = 10) -> bytes:
    return await read_body(receive, length, kind, limit)


async def test_a_body_comes_in_parts() -> None:
    assert await read(Parts(part(b"abc", more=True), part(b"", more=True), part(b"d"))) == b"abcd"


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    parts = Parts(part(b"a", more=True))
    with pytest.raises(TooLargeError):
        await read(parts, length="11")
    assert len(parts.events) == 1


async def test_a_body_that_turns_out_too_large_is_not_read_to_its_end() -> None:
    parts = Parts(part(b"a" * 10, more=True), part(b"b", more=True), part(b"c"))
    with pytest.raises(TooLargeError):
        await read(parts)
    assert len(parts.events) == 1


async def test_a_body_of_the_limit_is_read() -> None:
    assert len(await read(Parts(part(b"a" * 10)), length="10")) == 10


async def test_half_an_upload_is_never_a_message() -> None:
    with pytest.raises(InvalidRequestError):
        await read(Parts(part(b'{"a":1}', more=True), GONE))


@pytest.mark.parametrize("kind", [None, "text/plain", "multipart/form-data", ""])
async def test_a_body_of_another_type_is_refused(kind: str | None) -> None:
    with pytest.raises(MediaTypeError):
        await read(Parts(part(b"{}")), length="2", kind=kind)


async def test_a_body_without_length_and_type_is_refused() -> None:
    with pytest.raises(MediaTypeError):
        await read(Parts(part(b"{}")), kind=None)


@pytest.mark.parametrize("kind", [JSON, "application/json; charset=utf-8", "Application/JSON"])
async def test_json_has_several_spellings(kind: str) -> None:
    assert await read(Parts(part(b"{}")), length="2", kind=kind) == b"{}"


@pytest.mark.parametrize(("length", "kind"), [("0", None), ("0", "text/plain"), (None, None)])
async def test_no_body_needs_no_type(length: str | None, kind: str | None) -> None:
    assert await read(Parts(part(b"")), length=length, kind=kind) == b""
