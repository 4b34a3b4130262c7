"""Every bad input there is, over a real connection: the documented answer, nothing admitted, the server healthy."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from flue_actors.definition.settings import Settings
from flue_actors.memory import memory_store
from tests.gateway.house import House, agent, serving_house
from tests.gateway.test_wire import NOT_JSON, WRONG
from tests.helpers.http import Connection, Reply, connected, exchange, head, prompt, request

HERE = "/agents/echo/me"
SLOW: dict[str, Any] = {"head_timeout": 0.2, "body_timeout": 0.2}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def unharmed(**limits: Any) -> AsyncGenerator[House]:
    """A house that has admitted nothing and still answers when the block ends."""
    store = memory_store()
    async with serving_house(
        agent("echo"), agent("hidden", route=None), store=store, settings=Settings(**limits)
    ) as house:
        yield house
        assert store.statistics().commits == 0
        assert (await exchange(house.address, prompt(HERE))).status == 200


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house() -> AsyncGenerator[House]:
    """One server for everything that is refused at once: it has to stay unharmed by all of it."""
    async with unharmed() as house:
        yield house


Refusal = Callable[[bytes], Awaitable[Reply]]


@pytest.fixture
def refusal(house: House) -> Refusal:
    return lambda raw: exchange(house.address, raw)


@pytest.mark.parametrize("body", [body for body in NOT_JSON if body])
async def test_what_is_not_json(body: bytes, refusal: Refusal) -> None:
    reply = await refusal(request("POST", HERE, body))
    assert (reply.status, reply.error) == (400, "invalid_json")


@pytest.mark.parametrize("body", WRONG)
async def test_json_of_another_shape(body: bytes, refusal: Refusal) -> None:
    reply = await refusal(request("POST", HERE, body))
    assert (reply.status, reply.error) == (400, "invalid_request")


@pytest.mark.parametrize("message", ["", " ", "\n\t", "\u2003"])
async def test_a_blank_message(message: str, refusal: Refusal) -> None:
    reply = await refusal(prompt(HERE, message))
    assert (reply.status, reply.error) == (400, "invalid_request")


@pytest.mark.parametrize("session", ["", "  ", "task:default:1", "x" * 513])
async def test_an_impossible_session(session: str, refusal: Refusal) -> None:
    reply = await refusal(prompt(HERE, session=session))
    assert (reply.status, reply.error) == (400, "invalid_request")


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_another_content_type(kind: str | None, refusal: Refusal) -> None:
    reply = await refusal(request("POST", HERE, b'{"message":"hi"}', content_type=kind))
    assert (reply.status, reply.error) == (415, "unsupported_media_type")


@pytest.mark.parametrize("name", ["nobody", "hidden", "ECHO", "echo%2F", "%00"])
async def test_an_agent_that_is_not_there(name: str, refusal: Refusal) -> None:
    reply = await refusal(prompt(f"/agents/{name}/me"))
    assert (reply.status, reply.error) == (404, "agent_not_found")


@pytest.mark.parametrize("id", ["", "%20%09", "a" * 8000, "%ff", "%ed%a0%80", "%zz", "%"])
async def test_an_impossible_id(id: str, refusal: Refusal) -> None:
    reply = await refusal(prompt(f"/agents/echo/{id}"))
    assert (reply.status, reply.error) == (400, "invalid_request")


@pytest.mark.parametrize("target", ["/agents/echo", "/agents", "/nowhere", "/agents/echo/me/", "/agents/echo/a/b", "/"])
async def test_a_path_where_nothing_is(target: str, refusal: Refusal) -> None:
    reply = await refusal(prompt(target))
    assert (reply.status, reply.error) == (404, "route_not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "OPTIONS"])
async def test_a_method_the_path_does_not_have(method: str, refusal: Refusal) -> None:
    reply = await refusal(request(method, HERE))
    assert (reply.status, reply.error, reply.headers["allow"]) == (405, "method_not_allowed", "POST, DELETE")


async def test_a_webhook_on_an_agents_path(refusal: Refusal) -> None:
    reply = await refusal(prompt(HERE, "hi", "x-webhook: true"))
    assert (reply.status, reply.error) == (400, "invalid_request")
    assert "dispatch" in reply.json["error"]["details"]


async def test_a_body_that_says_it_is_too_large(refusal: Refusal) -> None:
    reply = await refusal(head("POST", HERE, "content-type: application/json", "content-length: 99999999") + b"{")
    assert (reply.status, reply.error) == (413, "payload_too_large")


async def test_a_chunked_body_that_is_too_large_can_still_read_the_refusal() -> None:
    async with unharmed(max_body=100_000) as house, connected(house.address) as connection:
        await connection.send(head("POST", HERE, "content-type: application/json", "transfer-encoding: chunked"))
        for _ in range(64):
            await connection.send(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
        assert (await connection.reply()).status == 413


@pytest.mark.parametrize(
    "raw",
    [
        head("POST", HERE, "x: " + "a" * 70_000),
        head("POST", HERE, *[f"x{number}: 1" for number in range(101)]),
        b"POST /agents/echo/" + b"a" * 65_000 + b" HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 1000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 70_000,
    ],
)
async def test_an_oversized_head(raw: bytes, refusal: Refusal) -> None:
    reply = await refusal(raw)
    assert (reply.status, reply.error, reply.headers["connection"]) == (431, "payload_too_large", "close")


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"GET / HTTP/0.9\r\nhost: a\r\n\r\n",
        b"POST / HTTP/9.9\r\nhost: a\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n",
        head("POST", HERE, "content-length: 3", "transfer-encoding: chunked") + b"0\r\n\r\n",
        head("POST", HERE, "content-length: 3", "content-length: 4") + b"abcd",
        head("POST", HERE, "transfer-encoding: xchunked") + b"0\r\n\r\n",
        head("POST", HERE, "content-length: +3") + b"abc",
        head("POST", HERE, "content-length : 3") + b"abc",
        head("POST", HERE, "x: a\n b", "content-length: 3") + b"abc",
        head("POST", HERE, "x: a\0b"),
        head("POST", HERE, "transfer-encoding: chunked", "content-type: application/json") + b"-1\r\n\r\n",
    ],
)
async def test_what_is_not_http_or_could_be_read_in_two_ways(raw: bytes, refusal: Refusal) -> None:
    reply = await refusal(raw)
    assert (reply.status, reply.headers["connection"]) == (400, "close")
    assert reply.error == "invalid_request"


@pytest.mark.parametrize("framing", ["content-length: 17", "transfer-encoding: chunked"])
async def test_a_truncated_upload_is_no_message(framing: str) -> None:
    body = b'{"message":"hi"}' if "length" in framing else b'10\r\n{"message":"hi"}\r\n'
    async with unharmed() as house, connected(house.address) as connection:
        await connection.send(head("POST", HERE, "content-type: application/json", framing) + body)
        connection.writer.close()


async def test_a_length_that_promises_more_than_comes() -> None:
    async with unharmed(**SLOW) as house:
        raw = head("POST", HERE, "content-type: application/json", "content-length: 99") + b'{"message":"hi"}'
        reply = await exchange(house.address, raw)
        assert (reply.status, reply.error) == (408, "request_timeout")


async def test_a_length_that_promises_less_than_comes() -> None:
    async with unharmed() as house, connected(house.address) as connection:
        raw = head("POST", HERE, "content-type: application/json", "content-length: 9") + b'{"message":"hi"}'
        await connection.send(raw)
        rest = await connection.rest()
        assert rest.startswith(b"HTTP/1.1 400 ")
        assert rest.count(b"HTTP/1.1 400 ") == rest.count(b"HTTP/1.1 ")


async def test_nonsense_behind_a_request_does_not_cost_its_answer() -> None:
    async with serving_house() as house, connected(house.address) as connection:
        await connection.send(prompt(HERE, "wait 0.1") + b"nonsense\r\n\r\n")
        assert (await connection.reply()).status == 200
        assert await connection.rest() == b""


@pytest.mark.parametrize("raw", [b"P", b"POST /agents/echo/me HTTP/1.1\r\nhost: a\r\nx"])
async def test_a_head_that_does_not_end(raw: bytes) -> None:
    async with unharmed(**SLOW) as house:
        reply = await exchange(house.address, raw)
        assert (reply.status, reply.error) == (408, "request_timeout")


async def test_a_head_that_trickles() -> None:
    async with unharmed(**SLOW) as house, connected(house.address) as connection:
        trickle = asyncio.create_task(_trickle(connection))
        assert (await connection.reply()).error == "request_timeout"
        trickle.cancel()


async def _trickle(connection: Connection) -> None:
    await connection.send(b"POST / HTTP/1.1\r\n")
    while True:
        await connection.send(b"x")
        await asyncio.sleep(0.01)


async def test_a_connection_that_never_says_a_word_is_closed_without_one() -> None:
    async with unharmed(**SLOW) as house, connected(house.address) as connection:
        assert await connection.rest() == b""


async def test_a_connection_between_two_requests_is_kept() -> None:
    async with serving_house(settings=Settings(**SLOW)) as house, connected(house.address) as connection:
        await connection.send(prompt(HERE, "wait 0.5"))
        assert (await connection.reply()).status == 200
        await connection.send(prompt(HERE))
        assert (await connection.reply()).status == 200


async def test_requests_pipelined_on_one_connection_are_answered_in_order() -> None:
    async with serving_house() as house, connected(house.address) as connection:
        await connection.send(b"".join([prompt(HERE, f"number {number}") for number in range(10)]))
        texts = [(await connection.reply()).json["result"]["text"] for _ in range(10)]
        assert texts == [f"echo: number {number} ({2 * number + 1} messages)" for number in range(10)]


@pytest.mark.parametrize(
    "id", ["..", "%2e%2e", "a%2Fstatus", "a%00b", "a%0d%0aset-cookie:%20x=1", "%F0%9F%99%82", "~!$&'()*"]
)
async def test_strange_ids_are_only_ids(id: str) -> None:
    async with serving_house() as house:
        first = await exchange(house.address, prompt(f"/agents/echo/{id}"))
        second = await exchange(house.address, prompt(f"/agents/echo/{id}"))
        other = await exchange(house.address, prompt("/agents/echo/other"))
    assert [reply.json["result"]["text"][-13:] for reply in (first, second, other)] == [
        " (1 messages)",
        " (3 messages)",
        " (1 messages)",
    ]
    assert "set-cookie" not in first.headers


async def test_a_large_valid_message_is_taken() -> None:
    async with serving_house() as house:
        reply = await exchange(house.address, prompt(HERE, "x" * 3_000_000))
    assert reply.status == 200
    assert len(json.loads(reply.body)["result"]["text"]) > 3_000_000
