"""The application: our resources on a Falcon app (`mount`), and a plain ASGI app for any server (`create_app`)."""

import logging
from typing import Any

import falcon.asgi
from falcon.asgi import Request, Response, WebSocket

from flue_actors.errors import RouteNotFoundError
from flue_actors.gateway.admission import Gateway, gateway_of, put_gateway
from flue_actors.gateway.asgi import App, Event, Receive, Scope, Send
from flue_actors.gateway.resources.agents import AgentsResource
from flue_actors.gateway.resources.health import livez, readyz
from flue_actors.gateway.resources.replies import refuse, reply_error
from flue_actors.runtime import Runtime

logger = logging.getLogger("flue_actors.gateway")


def mount(app: "falcon.asgi.App[Any, Any]", prefix: str = "", *, runtime: Runtime | None = None) -> None:
    """Add the agents' routes and the health routes to your Falcon app, below ``prefix``.

    They answer every method themselves and render their own errors; nothing else of the app changes. Without
    ``runtime`` they serve the runtime that the app is served with (`create_app`, `serve`), and 503 until there is one.

    Args:
        app: Your application.
        prefix: ``""`` or ``"/api"``, ``"/deep/er"``.
        runtime: A runtime you start and stop yourself.
    """
    prefix = "/" + prefix.strip("/") if prefix.strip("/") else ""
    own = Gateway(runtime) if runtime is not None else None

    def find_gateway(scope: Scope) -> Gateway:
        return own if own is not None else gateway_of(scope)

    app.add_route(prefix + "/agents/{rest:path}", AgentsResource(find_gateway, prefix))
    app.add_route(prefix + "/livez", livez())
    app.add_route(prefix + "/readyz", readyz(find_gateway))


def create_app(runtime: Runtime, app: App | None = None, *, dev: bool = False) -> "GatewayApp":
    """An ASGI app that serves ``runtime``: for any server, or to be mounted in FastAPI, Starlette and the like.

    A runtime that has been started is its owner's; one that has not lives with the server's lifespan. A mounted app gets
    no lifespan: start the runtime yourself, or requests answer 503 ``not_started``.

    Args:
        runtime: The agents.
        app: Your own application, which called `mount`; without it there are the agents' and the health routes alone.
        dev: Show callers what only a developer should see of an error.
    """
    return GatewayApp(Gateway(runtime, dev=dev), app if app is not None else _default_app())


class GatewayApp:
    """What `create_app` returns."""

    def __init__(self, gateway: Gateway, app: App) -> None:
        self.gateway = gateway
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.gateway.runtime.bind():
            if scope["type"] == "lifespan":
                await self._lifespan(scope, receive, send)
            else:
                scope = _as_root(scope)
                put_gateway(scope, self.gateway)
                await self._app(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The inner application's lifespan, inside the runtime's if that has no other owner."""
        runtime = self.gateway.runtime
        owned = not runtime.started
        startup = [await receive()]
        if owned:
            try:
                await runtime.start()
            except Exception:
                logger.exception("the runtime did not start")
                await send({"type": "lifespan.startup.failed", "message": "the runtime did not start"})
                return

        answered = False

        async def replay() -> Event:
            return startup.pop() if startup else await receive()

        async def relay(event: Event) -> None:
            nonlocal answered
            answered = True
            if owned and event["type"] != "lifespan.startup.complete":
                await runtime.stop()
            await send(event)

        try:
            await self._app(scope, replay, relay)
        except Exception:
            if answered:
                raise
            logger.debug("the application has no lifespan of its own", exc_info=True)
        if not answered:
            await relay({"type": "lifespan.startup.complete"})
            await receive()
            await relay({"type": "lifespan.shutdown.complete"})


def _as_root(scope: Scope) -> Scope:
    """The scope as an application at the root would see it: Falcon routes by the whole path."""
    root: str = scope.get("root_path", "").rstrip("/")
    path: str = scope["path"]
    if not root or not path.startswith(root):
        return scope
    scope = {**scope, "path": path[len(root) :]}
    raw: bytes | None = scope.get("raw_path")
    if raw is not None:
        scope["raw_path"] = b"/" + b"/".join(raw.split(b"/")[1 + root.count("/") :])
    return scope


def _default_app() -> App:
    app: falcon.asgi.App[Any, Any] = falcon.asgi.App()
    mount(app)
    app.add_sink(_nothing_here, "/")
    return app


async def _nothing_here(req: Request, resp: Response | None, ws: WebSocket | None = None, **_: object) -> None:
    error = RouteNotFoundError()
    if ws is not None:
        await refuse(ws, req.scope, error)
    elif resp is not None:
        await reply_error(resp, error)
