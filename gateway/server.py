"""uvicorn in this process, with our two protocols, one deadline sweep, and a shutdown that loses nothing.

Stopping: new work is refused with 503 (the port stays open, so that clients are told and probes see it), idle sockets
get 1001, what runs may finish within the drain timeout, and what does not is left to the next start: whoever waits for
it or watches it is told where it is found again. Event streams still open get a last `error` event, and only then the
port is closed and the application's lifespan ends. A second signal: what runs is cancelled, and all of this takes two
seconds at most.
"""

import asyncio
import math
import signal
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from flue_actors.errors import ConfigError
from flue_actors.gateway.admission import Gateway
from flue_actors.gateway.asgi import App
from flue_actors.gateway.config import GatewayConfig
from flue_actors.gateway.http_protocol import HttpProtocol
from flue_actors.gateway.socket_channel import SocketProtocol

SWEEPS_PER_DEADLINE: Final = 10
"""A deadline is kept to a tenth of the shortest of them, and at best to uvicorn's own tick of 0.1 s."""

BACKLOG: Final = 2048

CLOSING_SECONDS: Final = 2
"""How long the last answers may take to leave once nothing runs any more, and everything after a second signal."""

OnDraining = Callable[[int, float], None]
"""Called when a signal began a stop: how many messages are worked on, and how many seconds they may take."""


class GatewayServer(uvicorn.Server):
    """Serves one application. `serve` returns when the server has stopped."""

    config: GatewayConfig

    def __init__(
        self,
        config: GatewayConfig,
        gateway: Gateway,
        *,
        owns_runtime: bool,
        signals: bool,
        on_draining: OnDraining | None,
    ) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._owns_runtime = owns_runtime
        self._signals = signals
        self._on_draining = on_draining
        self._signalled = False
        self._limit = math.inf  # time.monotonic() at which a second signal's patience ends
        settings = config.settings
        self._sweep_every = (
            min(settings.head_timeout, settings.body_timeout, settings.stall_timeout) / SWEEPS_PER_DEADLINE
        )
        self._swept = 0.0
        self.listening = asyncio.Event()
        self.finished = asyncio.Event()
        self._stopping = asyncio.Event()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, serve until told to stop, and stop."""
        try:
            await super().serve(sockets)
        finally:
            self.finished.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen."""
        try:
            await super().startup(sockets)
        except SystemExit as exit:
            raise ConfigError("The application did not start.", details="The log says why.") from exit
        self.listening.set()

    def stop(self) -> None:
        """Begin to stop."""
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        """Tick every 0.1 s until told to stop; unlike uvicorn's, it does not sleep through that."""
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % 10
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self._stopping.wait()

    async def on_tick(self, counter: int) -> bool:
        """What uvicorn calls every 0.1 s."""
        self._sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop."""
        self._gateway.drain()
        patience = self.config.settings.drain_timeout
        if self._signalled and self._on_draining is not None:
            self._on_draining(self._gateway.runtime.snapshot().actors.running, patience)
        if self._owns_runtime:
            await self._stop_runtime()
            await self._until(self._nobody_waits, CLOSING_SECONDS)  # everybody has an answer; it only has to leave
        else:
            await self._until(lambda: self._nobody_waits() or self.force_exit, patience)
        self._gateway.end_streams()
        await self._close(sockets or [])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal arrived: drain; a second one: stop at once."""
        if self.should_exit and not self.force_exit:
            self.force_exit = True
            self._limit = time.monotonic() + CLOSING_SECONDS
        self.should_exit = self._signalled = True

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

    async def _stop_runtime(self) -> None:
        """Within its drain timeout work finishes; what does not is left to the next start, and whoever waits is told."""
        loop = asyncio.get_running_loop()
        runtime = self._gateway.runtime
        stopping = loop.create_task(runtime.stop())
        await self._until(lambda: stopping.done() or self.force_exit)
        calls = [stopping]
        while not stopping.done() and time.monotonic() < self._limit:
            # Each call ends one of the stop's waits: for what runs, for what was cancelled, for what leaves.
            calls.append(loop.create_task(runtime.stop(timeout=0)))
            await self._until(stopping.done, CLOSING_SECONDS / 4)
        await self._until(lambda: all(each.done() for each in calls))
        for each in calls:
            if each.done():
                each.result()

    async def _close(self, listeners: list[socket.socket]) -> None:
        """Close the port, then every connection once its answer has left, then the application.

        In place of uvicorn's own, which sleeps for 0.1 s first and again after every look.
        """
        for each in (*self.servers, *listeners):
            each.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._until(lambda: not self.server_state.connections and not self.server_state.tasks, CLOSING_SECONDS)
        for task in list(self.server_state.tasks):
            task.cancel()
        ending = asyncio.get_running_loop().create_task(self.lifespan.shutdown())
        await self._until(ending.done)

    def _nobody_waits(self) -> bool:
        return not self.server_state.tasks and not any(each.busy for each in self._gateway.sockets)

    async def _until(self, reached: Callable[[], bool], seconds: float = math.inf) -> None:
        """Keep the deadlines until then, for as long as this, or as long as a second signal allows."""
        limit = time.monotonic() + seconds
        while not reached() and time.monotonic() < min(limit, self._limit):
            self._sweep()
            await asyncio.sleep(0.01)

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


def make_server(
    app: App,
    gateway: Gateway,
    *,
    owns_runtime: bool = False,
    signals: bool = False,
    on_draining: OnDraining | None = None,
) -> GatewayServer:
    """A server for ``app``, which `create_app` made. It does not listen yet.

    Args:
        app: The application.
        gateway: What the application's requests share.
        owns_runtime: Stop the runtime when the server stops, in one drain for both.
        signals: Handle SIGINT and SIGTERM.
        on_draining: See `OnDraining`.
    """
    config = GatewayConfig(
        app,
        loop="none",
        http=HttpProtocol,
        ws=SocketProtocol,
        ws_max_size=gateway.settings.max_frame,
        ws_per_message_deflate=False,  # 28 KiB more for every idle connection
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # behind a proxy the operator's own middleware decides whom to believe
        server_header=False,
    )
    config.settings = gateway.settings
    return GatewayServer(config, gateway, owns_runtime=owns_runtime, signals=signals, on_draining=on_draining)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one.

    Raises:
        ConfigError: The address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host}:{port}: {error.strerror}.",
            details="Choose another port with --port (port= in a program), or stop what uses it.",
        ) from error
    # Inherited by every connection. asyncio sets it only on sockets whose protocol number says TCP, which this one's does
    # not; without it an answer's head and body, two writes, lie 40 ms apart.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


@asynccontextmanager
async def serving(server: GatewayServer, listener: socket.socket) -> AsyncGenerator[GatewayServer]:
    """Run the server inside this block; leaving it drains and stops."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(server.serve(sockets=[listener]))
    listening = loop.create_task(server.listening.wait())
    try:
        await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            yield server
    finally:
        listening.cancel()
        server.stop()
        await task
