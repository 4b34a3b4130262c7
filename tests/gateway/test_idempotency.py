"""``Idempotency-Key``: sent again, a message is accepted once, and everybody gets its outcome."""

import asyncio
import json

import pytest

from flue_actors.definition.settings import Settings
from flue_actors.memory import memory_store
from tests.gateway.house import eventually, serving_house
from tests.gateway.test_prompting import SSE, parse
from tests.gateway.test_sockets import ask, outcome, talking
from tests.helpers.http import Reply, connected, exchange, prompt, request

HERE = "/agents/echo/me"
KEY = "idempotency-key: k-1"


async def test_a_repeat_waits_for_the_same_outcome() -> None:
    async with serving_house() as house:
        answers = await asyncio.gather(*[exchange(house.address, prompt(HERE, "wait 0.1", KEY)) for _ in range(5)])
        after = await exchange(house.address, prompt(HERE))
    assert {each.body for each in answers} == {answers[0].body}
    assert answers[0].json["result"]["text"] == "echo: wait 0.1 (1 messages)"
    assert after.json["result"]["text"] == "echo: hi (3 messages)"


async def test_a_repeat_of_what_is_settled_gets_its_outcome_also_after_a_restart() -> None:
    store = memory_store()
    async with serving_house(store=store) as house:
        first = await exchange(house.address, prompt(HERE, "hi", KEY))
        again = await exchange(house.address, prompt(HERE, "hi", KEY))
    async with serving_house(store=store) as house:
        later = await exchange(house.address, prompt(HERE, "hi", KEY))
    assert first.status == 200
    assert first.body == again.body == later.body


async def test_a_repeat_of_what_failed_fails_the_same_way() -> None:
    async with serving_house() as house:
        answers = [await exchange(house.address, prompt(HERE, "fail 400", KEY)) for _ in range(2)]
    assert [(each.status, each.error) for each in answers] == [(502, "model_rejected")] * 2
    assert answers[0].body == answers[1].body


@pytest.mark.parametrize("settled", [True, False])
async def test_another_message_with_the_same_key_is_refused(settled: bool) -> None:
    settings = Settings(drain_timeout=0.1, cancel_grace=0.1)
    async with serving_house(settings=settings) as house, connected(house.address) as first:
        await first.send(prompt(HERE, "hi" if settled else "hang", KEY))
        if settled:
            await first.reply()
        else:
            await eventually(lambda: house.runtime.snapshot().pending)
        other = await exchange(house.address, prompt(HERE, "something else", KEY))
    assert (other.status, other.error) == (409, "submission_conflict")


async def test_a_key_belongs_to_its_session() -> None:
    async with serving_house() as house:
        answers = [
            await exchange(house.address, prompt(target, message, KEY, session=session))
            for target, session, message in ((HERE, "a", "1"), (HERE, "b", "2"), ("/agents/echo/you", "a", "3"))
        ]
    assert [each.json["result"]["text"] for each in answers] == [f"echo: {n} (1 messages)" for n in (1, 2, 3)]


@pytest.mark.parametrize("settled", [True, False])
async def test_a_stream_can_be_a_repeat(settled: bool) -> None:
    async with serving_house() as house, connected(house.address) as first:
        await first.send(prompt(HERE, "wait 0.2", KEY))
        await eventually(lambda: house.runtime.snapshot().pending)
        answer = await first.reply() if settled else None
        stream = await exchange(house.address, prompt(HERE, "wait 0.2", KEY, SSE))
        answer = answer or await first.reply()
    events = parse(stream.body)
    results = [data["result"] for event, _, data in events if event == "operation"]
    assert results == [answer.json["result"]]
    assert events[-1][0] == "idle"


async def test_a_receipt_can_be_a_repeat() -> None:
    async with serving_house() as house:
        receipts: list[Reply] = [
            await exchange(house.address, prompt(HERE, "hi", KEY, "prefer: respond-async")) for _ in range(2)
        ]
    assert [each.status for each in receipts] == [202, 202]
    assert receipts[0].json["submissionId"] == receipts[1].json["submissionId"]


async def test_a_socket_has_keys_too_and_they_are_the_same() -> None:
    async with serving_house() as house, talking(house) as socket:
        await ask(socket, "1", "hi", idempotencyKey="k-1")
        first = await outcome(socket, "1")
        await ask(socket, "2", "hi", idempotencyKey="k-1")
        again = await outcome(socket, "2")
        posted = await exchange(house.address, prompt(HERE, "hi", KEY))
        await ask(socket, "3", "other", idempotencyKey="k-1")
        conflict = await outcome(socket, "3")
    assert first["result"] == again["result"] == posted.json["result"]
    assert conflict["error"]["type"] == "submission_conflict"


@pytest.mark.parametrize("key", ["", "a b", "x" * 257, "\xe9"])
async def test_an_impossible_key_is_refused_and_admits_nothing(key: str) -> None:
    store = memory_store()
    async with serving_house(store=store) as house, talking(house) as socket:
        reply = await exchange(house.address, prompt(HERE, "hi", f"idempotency-key: {key}"))
        await ask(socket, "r", idempotencyKey=key)
        refused = await outcome(socket, "r")
        assert store.statistics().commits == 0
    assert (reply.status, reply.error) == (400, "invalid_request")
    assert refused["error"]["type"] == "invalid_request"


async def test_a_key_in_the_body_is_no_key() -> None:
    async with serving_house() as house:
        body = json.dumps({"message": "hi", "idempotencyKey": "k-1"}).encode()
        answers = [await exchange(house.address, request("POST", HERE, body)) for _ in range(2)]
    assert [each.json["result"]["text"] for each in answers] == ["echo: hi (1 messages)", "echo: hi (3 messages)"]
