"""A gateway with a few agents, in process (ASGI) or behind a real port."""

import asyncio
import random
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from flue_actors.definition.agent import create_agent
from flue_actors.definition.guards import Guard, public
from flue_actors.definition.project import AgentDefinition
from flue_actors.definition.settings import Settings
from flue_actors.errors import ConfigError
from flue_actors.gateway.app import GatewayApp, create_app
from flue_actors.gateway.server import GatewayServer, bind, make_server, serving
from flue_actors.runtime import Runtime
from flue_actors.storage import Store
from tests.helpers.http import Address

HOST = "127.0.0.1"


def agent(
    name: str, *, route: Guard | None = public, websocket: Guard | None = public, model: str = "scripted/echo"
) -> AgentDefinition:
    """A definition whose agent echoes, unless told otherwise."""
    return AgentDefinition(name=name, agent=create_agent(model=model), route=route, websocket=websocket)


def runtime(*agents: AgentDefinition, store: Store | None = None, settings: Settings | None = None) -> Runtime:
    """A runtime that has not started; by default with one public agent called ``echo``."""
    definitions = agents or (agent("echo"),)
    return Runtime({each.name: each for each in definitions}, store=store, settings=settings)


class House:
    """A running server."""

    def __init__(self, runtime: Runtime, app: GatewayApp, server: GatewayServer, address: Address) -> None:
        self.runtime = runtime
        self.app = app
        self.server = server
        self.address = address

    @property
    def ws(self) -> str:
        return f"ws://{self.address[0]}:{self.address[1]}"


@asynccontextmanager
async def serving_house(
    *agents: AgentDefinition,
    store: Store | None = None,
    settings: Settings | None = None,
    app: Any = None,
    dev: bool = False,
) -> AsyncGenerator[House]:
    """A server on a free port below 32768, up inside the block."""
    rt = runtime(*agents, store=store, settings=settings)
    application = create_app(rt, app, dev=dev)
    listener = listen()
    await rt.start()
    server = make_server(application, application.gateway, owns_runtime=True)
    async with serving(server, listener):
        yield House(rt, application, server, listener.getsockname()[:2])


def listen() -> socket.socket:
    """A listening socket on a free port below 32768."""
    while True:
        try:
            return bind(HOST, random.randrange(20_000, 32_000))
        except ConfigError:
            continue


async def eventually(condition: Callable[[], object], patience: float = 10.0) -> None:
    """Wait until ``condition()`` is true."""
    async with asyncio.timeout(patience):
        while not condition():
            await asyncio.sleep(0.005)


def free_port() -> int:
    """A port nobody listens on."""
    with listen() as listener:
        return listener.getsockname()[1]
