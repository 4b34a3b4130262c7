"""One real server over real sockets, its agents on either model, and a store that outlives it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from flue_actors import AgentConfig, Runtime, create_agent, public, sqlite
from flue_actors.definition.agent import CreatedAgent
from flue_actors.definition.project import AgentDefinition
from flue_actors.gateway.app import create_app
from flue_actors.gateway.server import make_server, serving
from flue_actors.messages import Message, SignalMessage, ToolResultMessage, text_of
from flue_actors.refs import LocalAgentRef
from tests.gateway.house import listen
from tests.helpers.http import Address
from tests.messages_api import MessagesServer, Settings, messages_server
from tests.paths.transports import TRANSPORTS, Answer, Transport

MODELS: Mapping[str, str] = {"scripted": "scripted/echo", "anthropic": "anthropic/claude-haiku-4-5"}
"""Both understand `flue_actors.models.script`; the second one through the SDK, from a server of its own."""

AGENT = "actor"
EVICTION_PATIENCE = 10.0


class Stage:
    """The server. Every test has one of its own.

    Attributes:
        api: What the Anthropic SDK talks to; None where the model is a scripted one.
    """

    def __init__(self, agent: CreatedAgent, path: Path, api: MessagesServer | None) -> None:
        self.api = api
        self.runtime: Runtime
        self.address: Address
        self._definition = AgentDefinition(name=AGENT, agent=agent, route=public, websocket=public)
        self._path = path
        self._life = AsyncExitStack()

    @property
    def ref(self) -> LocalAgentRef:
        """The instance that everybody talks to."""
        return self.runtime.ref(AGENT, "me")

    @asynccontextmanager
    async def open(self, transport: str) -> AsyncGenerator[Transport]:
        """A way to talk to it."""
        async with TRANSPORTS[transport](self.ref, self.address) as opened:
            yield opened

    async def start(self) -> None:
        """Start the server on what the store has."""
        self.runtime = Runtime({AGENT: self._definition}, store=sqlite(self._path))
        if self.api is not None:
            self.runtime.configure_provider("anthropic", base_url=self.api.url, api_key="test-key")
        app = create_app(self.runtime)
        listener = listen()
        self.address = listener.getsockname()[:2]
        await self.runtime.start()
        await self._life.enter_async_context(serving(make_server(app, app.gateway, owns_runtime=True), listener))

    async def stop(self) -> None:
        """Stop the server."""
        await self._life.aclose()

    async def restart(self) -> None:
        """Stop it, and start the next one on the same store."""
        await self.stop()
        await self.start()

    async def evict(self) -> None:
        """Take the instance out of memory, as idle time would."""
        async with asyncio.timeout(EVICTION_PATIENCE):
            while any(actor.address.id == "me" for actor in self.runtime.snapshot().actors.actors):
                self.runtime.evict(self.ref.key)
                await asyncio.sleep(0.005)

    async def asked(self, transport: Transport, count: int = 1) -> list[Answer]:
        """The approvals that wait, once there are so many."""
        async with asyncio.timeout(10):
            while len(found := await transport.approvals()) != count:
                await asyncio.sleep(0.005)
        return found

    async def messages(self) -> list[Message]:
        """The conversation so far."""
        return [entry.message for entry in await self.ref.history()]

    async def results(self) -> list[str]:
        """What tools answered so far."""
        return [text_of(each) for each in await self.messages() if isinstance(each, ToolResultMessage)]

    async def report(self) -> dict[str, Any]:
        """What a detached task told its parent's session, once that is answered."""
        async with asyncio.timeout(10):
            while True:
                messages = await self.messages()
                told = [each for each in messages if isinstance(each, SignalMessage) and "task_result" in each.content]
                if told and messages[-1] is not told[-1]:
                    return json.loads(told[-1].content)
                await asyncio.sleep(0.005)


@asynccontextmanager
async def staged(
    model: str, path: Path, *, name: str | None = None, window: int = 0, **config: Any
) -> AsyncGenerator[Stage]:
    """A stage whose agent has this configuration and a model of this kind.

    Args:
        model: One of `MODELS`.
        name: Another model of that kind.
        window: Tokens that fit into the model's context; 0 = any number.
    """
    async with AsyncExitStack() as life:
        api = None
        if model == "anthropic":
            api = await life.enter_async_context(messages_server(Settings(window=window)))
        elif window:
            name = f"{name or MODELS[model]}?window={window}"
        agent = create_agent(lambda _: AgentConfig(model=name or MODELS[model], **config))
        stage = Stage(agent, path / "flue.db", api)
        await stage.start()
        life.push_async_callback(stage.stop)
        yield stage
