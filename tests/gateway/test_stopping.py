"""Draining: new work is refused, running work finishes, watchers are told."""

import asyncio
import json
import os
import signal

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from flue_actors.definition.settings import Settings
from flue_actors.gateway.app import create_app
from flue_actors.gateway.main import serve
from flue_actors.gateway.server import make_server, serving
from flue_actors.memory import memory_store
from tests.gateway.house import HOST, House, eventually, free_port, listen, runtime, serving_house
from tests.gateway.test_prompting import SSE, parse
from tests.gateway.test_sockets import ask, close_code, outcome, talking
from tests.helpers.http import connected, exchange, prompt, request

HERE = "/agents/echo/me"
BRIEF = Settings(drain_timeout=0.2, cancel_grace=0.1)


async def stop(house: House) -> None:
    house.server.stop()
    await eventually(lambda: house.app.gateway.draining)


async def test_new_work_is_refused_while_running_work_finishes() -> None:
    async with serving_house() as house, connected(house.address) as running, connected(house.address) as late:
        await running.send(prompt(HERE, "wait 0.3"))
        await eventually(lambda: house.runtime.snapshot().pending)
        await stop(house)
        await late.send(prompt(HERE))
        refused = await late.reply()
        ready = await exchange(house.address, request("GET", "/readyz"))
        live = await exchange(house.address, request("GET", "/livez"))
        with pytest.raises(InvalidStatus) as handshake:
            await connect(house.ws + HERE)
        answered = await running.reply()
    assert (refused.status, refused.error, refused.headers["retry-after"]) == (503, "draining", "30")
    assert (ready.status, live.status, handshake.value.response.status_code) == (503, 200, 503)
    assert answered.json["result"]["text"].startswith("echo: ")


async def test_idle_sockets_go_at_once_and_busy_ones_with_their_last_outcome() -> None:
    async with serving_house() as house, talking(house, "idle") as idle, talking(house, "busy") as busy:
        await ask(busy, "r", "wait 0.3")
        await eventually(lambda: house.runtime.snapshot().pending)
        await stop(house)
        assert await close_code(idle) == 1001
        await ask(busy, "late")
        assert (await outcome(busy, "late"))["error"]["type"] == "draining"
        assert (await outcome(busy, "r"))["type"] == "result"
        assert await close_code(busy) == 1001


async def test_what_does_not_finish_in_time_ends_with_a_word() -> None:
    async with (
        serving_house(settings=BRIEF) as house,
        connected(house.address) as stream,
        talking(house, "s") as socket,
    ):
        await stream.send(prompt(HERE, "hang", SSE))
        await stream.head()
        await ask(socket, "r", "hang")
        await stop(house)
        body = b"".join(await stream.chunks())
        assert await close_code(socket) == 1001
    event, _, data = parse(body)[-1]
    assert (event, data["error"]["type"]) == ("error", "interrupted")


async def test_who_watches_a_runtime_that_goes_on_is_told_that_the_server_goes() -> None:
    async with runtime(settings=BRIEF) as rt:
        app = create_app(rt)
        listener = listen()
        async with connected(listener.getsockname()[:2]) as stream:
            async with serving(make_server(app, app.gateway), listener):
                await stream.send(prompt(HERE, "hang", SSE))
                await stream.head()
            body = b"".join(await stream.chunks())
    event, _, data = parse(body)[-1]
    assert (event, data["error"]["type"]) == ("error", "draining")


async def test_who_waits_for_a_runtime_that_goes_on_is_told_that_the_server_goes() -> None:
    async with runtime(settings=BRIEF) as rt:
        app = create_app(rt)
        listener = listen()
        async with connected(listener.getsockname()[:2]) as waiting:
            async with serving(make_server(app, app.gateway), listener):
                await waiting.send(prompt(HERE, "hang"))
                await eventually(lambda: rt.snapshot().pending)
            answer = await waiting.reply()
        assert (answer.status, answer.error) == (503, "draining")
        assert rt.snapshot().pending == 1
        found = await rt.ref("echo", "me").submission(answer.json["error"]["meta"]["submissionId"])
        assert found.status == "running"


async def test_what_was_not_finished_is_kept_its_caller_told_where_and_answered_after_the_next_start() -> None:
    store = memory_store()
    async with (
        serving_house(settings=BRIEF, store=store) as house,
        connected(house.address) as running,
        connected(house.address) as queued,
    ):
        await running.send(prompt(HERE, "wait 1"))
        await eventually(lambda: house.runtime.snapshot().actors.running)
        await queued.send(prompt(HERE, "hi"))
        await eventually(lambda: house.runtime.snapshot().pending == 2)
        await stop(house)
        answers = [await running.reply(), await queued.reply()]
    assert [(each.status, each.error, each.headers["retry-after"]) for each in answers] == [
        (503, "interrupted", "1")
    ] * 2
    places = [each.json["error"]["meta"] for each in answers]
    assert [set(each) for each in places] == [{"submissionId", "offset"}] * 2
    assert "no need to send it again" in answers[0].json["error"]["details"]
    async with serving_house(store=store) as house:
        found = [
            await exchange(house.address, request("GET", f"{HERE}/submissions/{each['submissionId']}?wait=10"))
            for each in places
        ]
    assert [each.json["outcome"] for each in found] == ["completed"] * 2


async def test_who_watches_what_was_not_finished_is_told_where_to_go_on() -> None:
    store = memory_store()
    async with (
        serving_house(settings=BRIEF, store=store) as house,
        connected(house.address) as stream,
        talking(house, "s") as socket,
    ):
        await stream.send(prompt(HERE, "hang", SSE))
        await stream.head()
        await ask(socket, "r", "hang")
        await eventually(lambda: house.runtime.snapshot().actors.running == 2)
        await stop(house)
        event, _, data = parse(b"".join(await stream.chunks()))[-1]
        frame = await outcome(socket, "r")
        assert await close_code(socket) == 1001
    assert (event, data["error"]["type"], frame["error"]["type"]) == ("error", "interrupted", "interrupted")
    await store.open()
    kept = [row.id for row in await store.unsettled()]
    assert [each["error"]["meta"]["submissionId"] for each in (data, frame)] == kept
    assert all("offset" in each["error"]["meta"] for each in (data, frame))


async def test_who_follows_a_session_is_told_where_to_go_on_and_a_browser_keeps_its_place() -> None:
    async with serving_house() as house, connected(house.address) as follower:
        await exchange(house.address, prompt(HERE))
        await follower.send(request("GET", HERE + "/stream?offset=0-0"))
        await follower.head()
        await stop(house)
        frames = b"".join(await follower.chunks()).decode().strip().split("\n\n")
    last = dict(line.split(": ", 1) for line in frames[-1].split("\n"))
    before = dict(line.split(": ", 1) for line in frames[-2].split("\n"))
    error = json.loads(last["data"])["error"]
    assert (last["event"], "id" in last, error["type"]) == ("error", False, "draining")
    assert error["meta"]["offset"] == before["id"]


async def test_who_waits_for_an_outcome_is_answered_when_the_server_stops() -> None:
    async with serving_house(settings=BRIEF) as house, connected(house.address) as waiting:
        accepted = await exchange(house.address, prompt(HERE, "hang", "prefer: respond-async"))
        await waiting.send(request("GET", accepted.headers["location"] + "?wait=60"))
        await eventually(lambda: house.server.server_state.tasks)
        await stop(house)
        reply = await waiting.reply()
    assert (reply.status, reply.error, reply.headers["retry-after"]) == (503, "interrupted", "1")
    assert reply.json["error"]["meta"]["submissionId"] == accepted.json["submissionId"]


async def test_a_started_runtime_stays_its_owners() -> None:
    async with runtime() as owned:
        task = asyncio.create_task(serve(owned, port=free_port(), signals=False))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert owned.started


async def test_a_signal_is_a_normal_end() -> None:
    port = free_port()
    listening = asyncio.Event()
    before = signal.getsignal(signal.SIGTERM)
    rt = runtime()
    task = asyncio.create_task(serve(rt, port=port, on_listening=lambda _host, _port: listening.set()))
    await listening.wait()
    assert (await exchange((HOST, port), prompt(HERE))).status == 200
    os.kill(os.getpid(), signal.SIGTERM)
    await task
    assert rt.state == "stopped"
    assert signal.getsignal(signal.SIGTERM) is before


async def test_an_address_in_use_is_a_clear_error() -> None:
    async with serving_house() as house:
        with pytest.raises(Exception, match="Cannot listen on"):
            await serve(runtime(), port=house.address[1])
