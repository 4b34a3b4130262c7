"""Guards written carelessly, and requests that are not what a browser would send."""

import contextlib
import logging
from typing import Any

import pytest

from flue_actors import CallNext, GuardRequest, GuardResponse
from flue_actors.definition.guards import run_guard
from flue_actors.errors import ConfigError, Denied, InternalError


def request(query: str = "", **headers: str) -> GuardRequest:
    return GuardRequest(
        method="GET", path="/agents/a/u1", params={"name": "a", "id": "u1"}, headers=headers, query=query
    )


class Next:
    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self) -> None:
        self.calls += 1


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("sid=1", "1"),
        ("other=2; sid=1", "1"),
        ("sid=1; sid=2", "1"),
        ('sid="a b"', "a b"),
        ('sid="', '"'),
        ("sid=", ""),
        ('prefs={"a": [1]}; sid=1', "1"),
        ("bad[key]=1; sid=1", "1"),
        ("sid=a=b", "a=b"),
        ("nosid=1", None),
        ("sid", None),
        ("", None),
        (";;=;", None),
    ],
)
def test_a_cookie_is_found_whatever_stands_beside_it(header: str, value: str | None) -> None:
    assert request(cookie=header).cookie("sid") == value


@pytest.mark.parametrize(
    ("query", "value"), [("", None), ("q", ""), ("q=1&q=2", "1"), ("q=%C3%A9", "é"), ("q=a+b", "a b"), ("=&&", None)]
)
def test_a_query_parameter_is_decoded(query: str, value: str | None) -> None:
    assert request(query).query("q") == value


async def test_a_plain_function_lets_in_by_returning_call_next() -> None:
    behind = Next()
    assert await run_guard(lambda _, call_next: call_next(), request(), behind) is None
    assert behind.calls == 1


async def test_an_object_may_be_a_guard() -> None:
    class Closed:
        async def __call__(self, request: GuardRequest, call_next: CallNext) -> GuardResponse:
            return request.not_found()

    answer = await run_guard(Closed(), request(), Next())
    assert answer is not None
    assert answer.status == 404


async def test_the_guard_sees_that_it_called_next_twice() -> None:
    seen: list[Exception] = []

    async def guard(request: GuardRequest, call_next: CallNext) -> GuardResponse:
        await call_next()
        try:
            await call_next()
        except InternalError as error:
            seen.append(error)
        return request.json({}, 200)

    with pytest.raises(InternalError):
        await run_guard(guard, request(), Next())
    assert len(seen) == 1


async def test_a_misspelled_parameter_in_a_guard_is_our_error_and_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def guard(request: GuardRequest, call_next: CallNext) -> None:
        request.param("nmae")

    with pytest.raises(InternalError) as error:
        await run_guard(guard, request(), Next())
    assert isinstance(error.value.__cause__, ConfigError)
    assert "nmae" not in error.value.message
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_response_that_is_not_json_is_our_error() -> None:
    def guard(request: GuardRequest, call_next: CallNext) -> GuardResponse:
        return request.json({"when": object()}, 401)

    with pytest.raises(InternalError):
        await run_guard(guard, request(), Next())


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "unauthorized"), (403, "forbidden"), (404, "not_found"), (402, "denied")]
)
async def test_a_denial_may_say_why(status: int, kind: str) -> None:
    def guard(request: GuardRequest, call_next: CallNext) -> Any:
        raise Denied(status, "Not on Sundays.")

    with pytest.raises(Denied, match="Sundays") as refusal:
        await run_guard(guard, request(), Next())
    assert (refusal.value.status, refusal.value.type) == (status, kind)


async def test_a_denial_after_call_next_is_still_a_denial() -> None:
    async def guard(request: GuardRequest, call_next: CallNext) -> None:
        await call_next()
        raise Denied(403)

    with contextlib.suppress(Denied):
        await run_guard(guard, request(), Next())
        raise AssertionError("let in")
