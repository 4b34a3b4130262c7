"""Our routes beside somebody else's, and inside somebody else's application."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import falcon
import falcon.asgi
import fastapi
import pytest
import uvicorn
from falcon.asgi import Request, Response
from starlette.applications import Starlette
from starlette.routing import Mount
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from flue_actors.context import dispatch
from flue_actors.gateway.app import create_app, mount
from flue_actors.runtime import Runtime
from tests.gateway.house import HOST, agent, eventually, listen, runtime, serving_house
from tests.gateway.test_prompting import SSE, parse
from tests.gateway.test_sockets import ask, close_code, hear, outcome
from tests.helpers.http import Address, exchange, prompt, request


class Hello:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {"hello": "world"}


class Hook:
    async def on_post(self, req: Request, resp: Response) -> None:
        receipt = await dispatch("echo", id="me", input={"raw": (await req.stream.read()).decode()})
        resp.status = falcon.HTTP_ACCEPTED
        resp.media = {"dispatchId": receipt.dispatch_id}


async def teapot(req: Request, resp: Response, error: Exception, params: object) -> None:
    resp.status = "418 I'm a teapot"


def own_app(prefix: str = "") -> Any:
    app: Any = falcon.asgi.App()
    app.add_route("/hello", Hello())
    app.add_route("/hook", Hook())
    app.add_error_handler(falcon.HTTPNotFound, teapot)
    mount(app, prefix)
    return app


@pytest.mark.parametrize("prefix", ["", "/api", "deep/er/"])
async def test_our_routes_live_beside_your_own_under_any_prefix(prefix: str) -> None:
    at = "/" + prefix.strip("/") if prefix else ""
    async with serving_house(app=own_app(prefix)) as house:
        assert (await exchange(house.address, request("GET", "/hello"))).json == {"hello": "world"}
        reply = await exchange(house.address, prompt(f"{at}/agents/echo/a%2Fstatus"))
        assert reply.json["result"]["text"] == "echo: hi (1 messages)"
        assert (await exchange(house.address, request("GET", f"{at}/readyz"))).status == 200
        async with connect(f"{house.ws}{at}/agents/echo/me") as socket:
            assert (await hear(socket))["type"] == "ready"


async def test_our_errors_are_ours_and_yours_stay_yours() -> None:
    async with serving_house(app=own_app()) as house:
        assert (await exchange(house.address, request("PUT", "/agents/echo/me"))).error == "method_not_allowed"
        assert (await exchange(house.address, prompt("/agents/nobody/me"))).error == "agent_not_found"
        assert (await exchange(house.address, request("GET", "/nowhere"))).status == 418


async def test_your_cors_middleware_covers_our_routes() -> None:
    app: Any = falcon.asgi.App(cors_enable=True)
    mount(app)
    async with serving_house(app=app) as house:
        preflight = request(
            "OPTIONS", "/agents/echo/me", b"", "origin: https://a.test", "access-control-request-method: POST"
        )
        allowed = await exchange(house.address, preflight)
        answer = await exchange(house.address, prompt("/agents/echo/me", "hi", "origin: https://a.test"))
    assert (allowed.status, allowed.headers["access-control-allow-methods"]) == (204, "POST, DELETE")
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_your_webhook_hands_its_raw_body_to_an_agent() -> None:
    async with serving_house(app=own_app()) as house:
        reply = await exchange(house.address, request("POST", "/hook", b"\x01raw", content_type="application/x-thing"))
        assert reply.status == 202
        assert reply.json["dispatchId"]
        await eventually(lambda: not house.runtime.snapshot().pending)
        after = await exchange(house.address, prompt("/agents/echo/me"))
    assert after.json["result"]["text"] == "echo: hi (3 messages)"


class _Quiet(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def plain_uvicorn(
    app: Any, *, lifespan: Literal["on", "off"] = "on", root_path: str = ""
) -> AsyncGenerator[Address]:
    """Somebody else's server."""
    server = _Quiet(uvicorn.Config(app, lifespan=lifespan, root_path=root_path, log_config=None, access_log=False))
    listener = listen()
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await eventually(lambda: server.started or task.done())
        yield listener.getsockname()[:2]
    finally:
        server.should_exit = True
        await task


def in_fastapi(rt: Runtime) -> Any:
    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncGenerator[None]:
        async with rt:
            yield

    app = fastapi.FastAPI(lifespan=lifespan)
    app.mount("/ai", create_app(rt))

    @app.get("/joke")
    async def joke() -> str:
        return (await rt.ref("echo", "visitor").prompt("knock")).text

    assert joke
    return app


def in_starlette(rt: Runtime) -> Any:
    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncGenerator[None]:
        async with rt:
            yield

    return Starlette(routes=[Mount("/ai", app=create_app(rt))], lifespan=lifespan)


@pytest.mark.parametrize("framework", [in_fastapi, in_starlette])
async def test_a_framework_serves_our_routes_where_it_mounts_them(framework: Any) -> None:
    async with plain_uvicorn(framework(runtime())) as address:
        reply = await exchange(address, prompt("/ai/agents/echo/a%2Fstatus"))
        assert reply.json["result"]["text"] == "echo: hi (1 messages)"
        stream = await exchange(address, prompt("/ai/agents/echo/me", "hi", SSE))
        assert parse(stream.body)[-1][0] == "idle"
        assert (await exchange(address, request("GET", "/ai/agents/echo/me/status"))).json["state"] == "idle"
        assert (await exchange(address, request("GET", "/ai/nowhere"))).error == "route_not_found"
        async with connect(f"ws://{HOST}:{address[1]}/ai/agents/echo/b%2Fc") as socket:
            assert (await hear(socket))["instanceId"] == "b/c"
            for number in range(10):
                await ask(socket, str(number))
            texts = [(await outcome(socket, str(number)))["result"]["text"] for number in range(10)]
    assert texts == [f"echo: hi ({2 * number + 1} messages)" for number in range(10)]


async def test_the_frameworks_own_routes_use_the_runtime() -> None:
    async with plain_uvicorn(in_fastapi(runtime())) as address:
        assert (await exchange(address, request("GET", "/joke"))).json == "echo: knock (1 messages)"


async def test_on_another_server_a_runtime_lives_with_the_lifespan() -> None:
    rt = runtime()
    async with plain_uvicorn(create_app(rt)) as address:
        assert (await exchange(address, prompt("/agents/echo/me"))).status == 200
    assert rt.state == "stopped"


async def plain_asgi(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"plain"})


async def test_an_application_without_a_lifespan_gets_by() -> None:
    rt = runtime()
    async with plain_uvicorn(create_app(rt, plain_asgi)) as address:
        assert rt.started
        assert (await exchange(address, request("GET", "/"))).body == b"plain"
    assert rt.state == "stopped"


async def test_a_runtime_that_cannot_start_fails_the_lifespan() -> None:
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(event: Any) -> None:
        sent.append(event["type"])

    rt = runtime()
    await rt.start()
    await rt.stop()
    await create_app(rt)({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    assert sent == ["lifespan.startup.failed"]


async def test_a_root_path_of_the_server_is_not_part_of_the_route() -> None:
    async with plain_uvicorn(create_app(runtime()), root_path="/behind/proxy") as address:
        reply = await exchange(address, prompt("/agents/echo/a%2Fb"))
    assert reply.status == 200


async def test_without_a_lifespan_and_not_started_there_is_a_503() -> None:
    async with plain_uvicorn(create_app(runtime()), lifespan="off") as address:
        reply = await exchange(address, prompt("/agents/echo/me"))
        ready = await exchange(address, request("GET", "/readyz"))
        with pytest.raises(InvalidStatus) as handshake:
            await connect(f"ws://{HOST}:{address[1]}/agents/echo/me")
    assert (reply.status, reply.error, reply.headers["retry-after"]) == (503, "not_started", "1")
    assert (ready.status, handshake.value.response.status_code) == (503, 503)


async def test_mounted_routes_without_any_runtime_are_a_503() -> None:
    async with plain_uvicorn(own_app(), lifespan="off") as address:
        assert (await exchange(address, prompt("/agents/echo/me"))).error == "not_started"


async def test_mounted_routes_with_their_own_runtime_need_nothing_else() -> None:
    app: Any = falcon.asgi.App()
    async with runtime() as rt:
        mount(app, "/x", runtime=rt)
        async with plain_uvicorn(app) as address:
            assert (await exchange(address, prompt("/x/agents/echo/me"))).status == 200


async def test_a_started_runtime_outlives_the_application() -> None:
    async with runtime() as rt:
        async with plain_uvicorn(create_app(rt)) as address:
            assert (await exchange(address, prompt("/agents/echo/me"))).status == 200
        assert rt.started


@pytest.mark.parametrize(("text", "code"), [(b"\0", 1003), ("x" * (1024 * 1024 + 1), 1009)])
async def test_on_another_server_a_socket_keeps_the_same_limits(text: Any, code: int) -> None:
    async with plain_uvicorn(create_app(runtime())) as address:
        async with connect(f"ws://{HOST}:{address[1]}/agents/echo/me") as socket:
            await socket.send(text)
            assert await close_code(socket) == code


async def test_on_another_server_handshakes_are_refused_with_json() -> None:
    async with plain_uvicorn(create_app(runtime(agent("echo", websocket=None)))) as address:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"ws://{HOST}:{address[1]}/agents/echo/me")
    assert refusal.value.response.status_code == 404
    assert json.loads(refusal.value.response.body or b"")["error"]["type"] == "route_not_found"
