"""Every route of the table is behind its agent's guard."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from flue_actors.definition.guards import CallNext, GuardRequest, Principal, bearer
from flue_actors.errors import Denied
from flue_actors.gateway.resources.routes import ANY, ROUTES
from flue_actors.memory import memory_store
from flue_actors.storage import Store
from tests.gateway.house import House, agent, serving_house
from tests.helpers.http import connected, exchange, prompt, request


def spelled(tail: tuple[bytes | None, ...], parameter: str = "thing") -> str:
    """A path of the route table, below the id."""
    return "".join(f"/{parameter if segment is None else segment.decode()}" for segment in tail)


ROUTE_TABLE = [(method, tail) for tail, route in ROUTES.items() for method in route.methods]
NAMES = [f"{method} {spelled(tail, ':parameter')}" for method, tail in ROUTE_TABLE]
SOCKETS = [spelled(tail) for tail, route in ROUTES.items() if route.socket]

ALICE = Principal("alice", claims={"ids": ["a"]})
BOB = Principal("bob", claims={"ids": ["b"]})
TOKENS = {"alice-token": ALICE, "bob-token": BOB}


async def owners_only(request: GuardRequest, call_next: CallNext) -> object:
    principal = TOKENS.get((request.header("authorization") or "").removeprefix("Bearer "))
    if principal is None:
        raise Denied(401)
    if request.param("id") not in principal.claims["ids"]:
        return request.not_found()
    request.principal = principal
    return await call_next()


@asynccontextmanager
async def guarded_house(store: Store | None = None) -> AsyncGenerator[House]:
    async with serving_house(agent("desk", route=owners_only, websocket=owners_only), store=store) as house:
        yield house


def call(method: str, target: str, token: str | None) -> bytes:
    """A request that every route would refuse, if it looked at it."""
    headers = () if token is None else (f"authorization: Bearer {token}",)
    return request(method, target + "?limit=x&wait=x&after=x&offset=x", b"{", *headers, content_type="text/plain")


@pytest.mark.parametrize(("method", "tail"), ROUTE_TABLE, ids=NAMES)
async def test_the_guard_comes_before_everything_a_route_looks_at_or_does(
    method: str, tail: tuple[bytes | None, ...]
) -> None:
    store = memory_store()
    async with guarded_house(store) as house:
        for id, token in (("a", "alice-token"), ("b", "bob-token")):
            await exchange(house.address, prompt(f"/agents/desk/{id}", "hi", f"authorization: Bearer {token}"))
        before = store.statistics()
        answers = {
            (token, id, parameter): await exchange(
                house.address, call(method, f"/agents/desk/{id}{spelled(tail, parameter)}", token)
            )
            for token in (None, "wrong", "alice-token", "bob-token")
            for id in ("a", "b", "c")
            for parameter in ("default", "%zz")
            if (token, id) not in {("alice-token", "a"), ("bob-token", "b")}
        }
        assert store.statistics() == before
    for (token, *_), answer in answers.items():
        refusal = (401, "unauthorized") if token in (None, "wrong") else (404, "not_found")
        assert (answer.status, answer.error) == refusal


@pytest.mark.parametrize(("method", "tail"), ROUTE_TABLE, ids=NAMES)
async def test_the_guard_lets_in_the_owner(method: str, tail: tuple[bytes | None, ...]) -> None:
    async with guarded_house() as house:
        await exchange(house.address, prompt("/agents/desk/a", "hi", "authorization: Bearer alice-token"))
        body = b'{"message":"hi","decision":"approve"}' if method == "POST" else b""
        target = f"/agents/desk/a{spelled(tail, 'default')}"
        async with connected(house.address) as connection:
            await connection.send(request(method, target, body, "authorization: Bearer alice-token"))
            status, _ = await connection.head()
    missing = tail[-1:] == (ANY,) and tail[0] != b"sessions"  # there is none called "default"
    assert status == 404 if missing else status in (200, 204)


async def _handshake(url: str, token: str | None) -> int:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    try:
        async with connect(url, additional_headers=headers):
            return 101
    except InvalidStatus as refusal:
        assert refusal.response.headers["content-type"] == "application/json"
        json.loads(refusal.response.body or b"")
        return refusal.response.status_code


@pytest.mark.parametrize("tail", SOCKETS)
async def test_every_handshake_lets_in_only_the_owner(tail: str) -> None:
    async with guarded_house() as house:
        answers = [
            await _handshake(f"{house.ws}/agents/desk/{id}{tail}", token)
            for token in (None, "alice-token", "bob-token")
            for id in ("a", "b")
        ]
    assert answers == [401, 401, 101, 404, 404, 101]


@pytest.mark.parametrize(("method", "tail"), ROUTE_TABLE, ids=NAMES)
async def test_a_route_of_an_agent_without_a_guard_does_not_exist(method: str, tail: tuple[bytes | None, ...]) -> None:
    async with serving_house(agent("desk", route=None)) as house:
        reply = await exchange(house.address, call(method, f"/agents/desk/a{spelled(tail)}", None))
    assert (reply.status, reply.error) == (404, "agent_not_found")


async def test_a_guard_runs_before_the_body_is_looked_at() -> None:
    async with guarded_house() as house:
        reply = await exchange(house.address, request("POST", "/agents/desk/a", b"{", content_type="text/plain"))
    assert (reply.status, reply.error, reply.headers["www-authenticate"]) == (401, "unauthorized", "Bearer")


async def test_a_guard_that_forgets_to_decide_refuses() -> None:
    async def forgetful(request: GuardRequest, call_next: CallNext) -> None:
        pass

    async with serving_house(agent("desk", route=forgetful)) as house:
        reply = await exchange(house.address, prompt("/agents/desk/a"))
    assert (reply.status, reply.error) == (403, "forbidden")


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_guard_may_change_its_mind_about_the_answer(accept: str) -> None:
    async def late(request: GuardRequest, call_next: CallNext) -> object:
        await call_next()
        return request.json({"changed": True}, 202)

    async with serving_house(agent("desk", route=late)) as house:
        reply = await exchange(house.address, prompt("/agents/desk/a", "hi", f"accept: {accept}"))
        assert not house.app.gateway.streams
    assert (reply.status, reply.json) == (202, {"changed": True})


async def test_a_guard_sees_the_request_exactly() -> None:
    seen: list[object] = []

    async def curious(request: GuardRequest, call_next: CallNext) -> object:
        seen.extend([request.method, request.path, request.param("name"), request.param("id"), request.transport])
        seen.extend([request.header("X-Thing"), request.cookie("a"), request.query("q"), request.client])
        return request.not_found()

    async with serving_house(agent("desk", route=curious)) as house:
        await exchange(house.address, prompt("/agents/desk/a%2F1?q=2", "hi", "x-thing: 3", "cookie: a=4"))
    assert seen == ["POST", "/agents/desk/a%2F1", "desk", "a/1", "http", "3", "4", "2", "127.0.0.1"]


async def test_forwarding_headers_are_not_believed() -> None:
    seen: list[object] = []

    async def curious(request: GuardRequest, call_next: CallNext) -> object:
        seen.append(request.client)
        return request.not_found()

    async with serving_house(agent("desk", route=curious)) as house:
        await exchange(
            house.address, prompt("/agents/desk/a", "hi", "x-forwarded-for: 6.6.6.6", "forwarded: for=6.6.6.6")
        )
    assert seen == ["127.0.0.1"]


async def test_a_browser_may_send_its_token_as_a_subprotocol() -> None:
    async with serving_house(agent("desk", websocket=bearer("s3cret"))) as house:
        offered = ["flue.v1", "bearer.czNjcmV0"]
        async with connect(f"{house.ws}/agents/desk/a", subprotocols=offered) as socket:  # type: ignore[arg-type]
            assert socket.subprotocol == "flue.v1"
        assert await _handshake(f"{house.ws}/agents/desk/a", None) == 401
