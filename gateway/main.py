"""The composition root: a runtime, its application and a server, put together."""

from collections.abc import Callable
from typing import Final

from flue_actors.gateway.app import create_app
from flue_actors.gateway.asgi import App
from flue_actors.gateway.server import OnDraining, bind, make_server, serving
from flue_actors.runtime import Runtime

DEFAULT_PORT: Final = 3583


async def serve(
    runtime: Runtime,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    app: App | None = None,
    signals: bool = True,
    dev: bool = False,
    on_listening: Callable[[str, int], None] | None = None,
    on_draining: OnDraining | None = None,
) -> None:
    """Serve the runtime from the running loop until SIGINT, SIGTERM or cancellation; then drain and stop.

    A second signal cancels what runs and returns within two seconds, even if the runtime has not stopped by then.

    Args:
        runtime: Started (then it stays yours to stop) or not (then it starts and stops here).
        host, port: Where to listen; port 0 picks a free one.
        app: Your own ASGI application, which called `mount`; without it, the agents' and health routes alone.
        signals: Handle SIGINT and SIGTERM; False when the embedding program does.
        dev: Show callers what only a developer should see of an error.
        on_listening: Called with host and port once requests are taken.
        on_draining: Called when a signal came, with how many messages are worked on and the seconds they may take.

    Raises:
        ConfigError: The address cannot be listened on, or the application did not start.
        StoreError: The runtime was not started, and its store cannot be used.
    """
    application = create_app(runtime, app, dev=dev)
    with bind(host, port) as listener:
        owned = not runtime.started
        if owned:
            await runtime.start()
        server = make_server(
            application, application.gateway, owns_runtime=owned, signals=signals, on_draining=on_draining
        )
        try:
            async with serving(server, listener):
                if on_listening is not None:
                    on_listening(*listener.getsockname()[:2])
                await server.finished.wait()
        finally:
            if owned and not server.force_exit:
                await runtime.stop()
