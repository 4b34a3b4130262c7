"""uvicorn in this process, with our two protocols, one deadline sweep, and a shutdown that loses nothing.

Stopping: new work is refused with 503 (the port stays open, so that clients are told and probes see it), idle sockets
get 1001, what runs may finish within the drain timeout, event streams still open get a last `error` event, and only
then the port is closed and the application's lifespan ends.
"""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from flue_actors.gateway.admission import Gateway
from flue_actors.gateway.asgi import App
from flue_actors.gateway.http_protocol import HttpProtocol
from flue_actors.gateway.limits import GatewayConfig, Limits
from flue_actors.gateway.socket_channel import SocketProtocol

SWEEPS_PER_DEADLINE: Final = 10
"""A deadline is kept to a tenth of the shortest of them, and at best to uvicorn's own tick of 0.1 s."""

CLOSING_SECONDS: Final = 2
"""How long the last answers may take to leave once nothing runs any more."""


class GatewayServer(uvicorn.Server):
    """Serves one application. `serve` returns when the server has stopped."""

    config: GatewayConfig

    def __init__(self, config: GatewayConfig, gateway: Gateway, *, signals: bool) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._signals = signals
        limits = config.limits
        self._sweep_every = min(limits.head_timeout, limits.body_timeout, limits.stall_timeout) / SWEEPS_PER_DEADLINE
        self._swept = 0.0

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on, once started."""
        host, port, *_ = self.servers[0].sockets[0].getsockname()
        return host, port

    async def on_tick(self, counter: int) -> bool:
        """What uvicorn calls every 0.1 s."""
        self._sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop."""
        self._gateway.drain()
        try:
            async with asyncio.timeout(self.config.limits.drain_timeout):
                await self._drained()
        except TimeoutError:
            self._gateway.end_streams()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal arrived: drain; a second one: stop at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Handle SIGINT and SIGTERM while serving. A stop that was asked for is a normal end, so none is raised again."""
        if not self._signals or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def _drained(self) -> None:
        while not self.force_exit and (self.server_state.tasks or any(each.busy for each in self._gateway.sockets)):
            self._sweep()
            await asyncio.sleep(0.05)

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._swept < self._sweep_every:
            return
        self._swept = now
        wall = time.time()
        for connection in list(self.server_state.connections):
            if isinstance(connection, SocketProtocol):
                connection.sweep(now, wall)
            elif isinstance(connection, HttpProtocol):
                connection.sweep(now)


def make_server(app: App, gateway: Gateway, *, host: str, port: int, signals: bool = False) -> GatewayServer:
    """A server for ``app``, which `create_app` made. It does not listen yet."""
    config = GatewayConfig(
        app,  # pyright: ignore[reportArgumentType]  # uvicorn spells ASGI's messages as unions of TypedDicts
        host=host,
        port=port,
        loop="none",
        http=HttpProtocol,
        ws=SocketProtocol,
        ws_max_size=gateway.limits.max_frame,
        ws_per_message_deflate=False,  # 28 KiB more for every idle connection
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # behind a proxy the operator's own middleware decides whom to believe
        server_header=False,
        timeout_graceful_shutdown=CLOSING_SECONDS,
    )
    config.limits = gateway.limits
    return GatewayServer(config, gateway, signals=signals)


@asynccontextmanager
async def serving(server: GatewayServer) -> AsyncIterator[GatewayServer]:
    """Run the server inside this block, listening from its first line on; leaving it drains and stops."""
    task = asyncio.get_running_loop().create_task(server.serve())
    try:
        while not server.started and not task.done():
            await asyncio.sleep(0.005)
        if task.done():
            task.result()
            raise RuntimeError("the server did not start")
        yield server
    finally:
        server.should_exit = True
        await task
