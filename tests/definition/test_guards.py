import contextlib

import pytest

from flue_actors import CallNext, GuardRequest, GuardResponse, Principal, bearer, public
from flue_actors.definition.guards import Guard, run_guard
from flue_actors.errors import ConfigError, Denied, InternalError, ModelError


def request(**headers: str) -> GuardRequest:
    return GuardRequest(
        method="POST",
        path="/agents/a/u1",
        params={"name": "a", "id": "u1"},
        headers=headers,
        query="x=1&x=2&empty=",
    )


class Next:
    """What stands behind the guard."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self._error = error

    async def __call__(self) -> None:
        self.calls += 1
        if self._error is not None:
            raise self._error


async def ask(guard: Guard, behind: Next, given: GuardRequest | None = None) -> GuardResponse | None:
    return await run_guard(guard, given or request(), behind)


async def test_public_lets_everybody_in() -> None:
    behind = Next()
    assert await ask(public, behind) is None
    assert behind.calls == 1


async def test_a_response_refuses() -> None:
    def guard(request: GuardRequest, call_next: CallNext) -> GuardResponse:
        return request.json({"error": "no"}, 402)

    behind = Next()
    answer = await ask(guard, behind)
    assert answer == GuardResponse(status=402, body=b'{"error":"no"}')
    assert behind.calls == 0


async def test_denied_refuses_with_its_status() -> None:
    async def guard(request: GuardRequest, call_next: CallNext) -> None:
        raise Denied(401)

    with pytest.raises(Denied) as refusal:
        await ask(guard, Next())
    assert (refusal.value.status, refusal.value.type) == (401, "unauthorized")


async def test_a_guard_that_does_nothing_refuses_and_leaves_a_line(caplog: pytest.LogCaptureFixture) -> None:
    async def guard(request: GuardRequest, call_next: CallNext) -> None:
        return None

    with pytest.raises(Denied) as refusal:
        await ask(guard, Next())
    assert refusal.value.status == 403
    assert "neither answered" in caplog.text


async def test_calling_next_twice_is_our_error_even_if_the_guard_hides_it() -> None:
    async def guard(request: GuardRequest, call_next: CallNext) -> None:
        await call_next()
        with contextlib.suppress(InternalError):
            await call_next()

    behind = Next()
    with pytest.raises(InternalError):
        await ask(guard, behind)
    assert behind.calls == 1


async def test_a_guard_that_raises_is_our_error_and_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    async def guard(request: GuardRequest, call_next: CallNext) -> None:
        raise KeyError("secret")

    with pytest.raises(InternalError) as error:
        await ask(guard, Next())
    assert "secret" not in error.value.message


async def test_an_answer_that_is_no_response_is_our_error() -> None:
    def guard(request: GuardRequest, call_next: CallNext) -> object:
        return True

    with pytest.raises(InternalError):
        await ask(guard, Next())


async def test_what_fails_behind_the_guard_passes_through_it() -> None:
    with pytest.raises(ModelError):
        await ask(public, Next(ModelError()))


def test_a_request_shows_headers_whatever_their_case_and_the_first_of_a_query() -> None:
    given = request(authorization="x", cookie="a=1; b=2")
    assert given.header("Authorization") == "x"
    assert (given.cookie("b"), given.cookie("c")) == ("2", None)
    assert (given.query("x"), given.query("empty"), given.query("y")) == ("1", "", None)
    assert given.param("id") == "u1"
    with pytest.raises(ConfigError):
        given.param("agent")


ADA = Principal("ada", claims={"n": 1})


@pytest.mark.parametrize(
    ("accepted", "token", "who"),
    [
        ("secret", "secret", Principal("bearer")),
        ({"t1": ADA, "t2": "bob"}, "t1", ADA),
        ({"t1": ADA, "t2": "bob"}, "t2", Principal("bob")),
        (lambda token: ADA if token == "x" else None, "x", ADA),
    ],
)
async def test_bearer_lets_a_known_token_in_and_says_who_it_is(accepted: object, token: str, who: Principal) -> None:
    given = request(authorization=f"Bearer {token}")
    assert await ask(bearer(accepted), Next(), given) is None  # type: ignore[arg-type]
    assert given.principal == who


async def test_bearer_may_ask_elsewhere() -> None:
    async def verify(token: str) -> Principal | None:
        return ADA if token == "x" else None

    given = request(authorization="bearer x")
    await ask(bearer(verify), Next(), given)
    assert given.principal == ADA


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic secret", "Bearer wrong", "Bearer \udcff"])
async def test_bearer_refuses_everybody_else(header: str | None) -> None:
    behind = Next()
    with pytest.raises(Denied):
        await ask(bearer("secret"), behind, request(**({} if header is None else {"authorization": header})))
    assert behind.calls == 0


@pytest.mark.parametrize("accepted", ["", {}, {"": "x"}])
def test_bearer_needs_tokens(accepted: object) -> None:
    with pytest.raises(ConfigError):
        bearer(accepted)  # type: ignore[arg-type]
