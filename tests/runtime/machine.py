"""Processes that work on one store, one after another: started, stopped, killed."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from flue_actors import memory_store
from flue_actors.clock import Clock
from flue_actors.conversation.entries import is_message, read_message
from flue_actors.definition.agent import CreatedAgent
from flue_actors.definition.settings import Settings
from flue_actors.errors import FencedError, StoreUnavailableError
from flue_actors.ids import AgentKey
from flue_actors.messages import Message, SignalMessage, ToolResultMessage, text_of
from flue_actors.refs import LocalAgentRef
from flue_actors.runtime import Runtime
from flue_actors.storage import Committed, Fence, Op, Store, Submission

U1 = AgentKey("agent", "u1")


class Process:
    """What one process has of the store. Once it is dead, nothing it does gets there, and nothing comes back.

    Attributes:
        commits: How many it made.
        dies_after: It is killed when it made so many.
        fails_at: Which of them the disk has no room for.
        kept_at: Which of them it keeps, and says that it has no room for.
    """

    def __init__(
        self, store: Store, *, dies_after: int | None, fails_at: frozenset[int], kept_at: frozenset[int]
    ) -> None:
        self.commits = 0
        self.died = asyncio.Event()
        self._store = store
        self._dies_after = dies_after
        self._fails_at = fails_at
        self._kept_at = kept_at

    def commit(self, fence: Fence, *ops: Op) -> "asyncio.Future[Committed]":
        if self.died.is_set():
            return _failed(FencedError())
        self.commits += 1
        if self.commits in self._fails_at:
            return _failed(StoreUnavailableError())
        done = self._store.commit(fence, *ops)
        if self.commits == self._dies_after:
            self.died.set()
            return _failed(FencedError())
        return _failed(StoreUnavailableError()) if self.commits in self._kept_at else done

    async def close(self) -> None:
        if not self.died.is_set():
            await self._store.close()

    def __getattr__(self, name: str) -> Any:
        if self.died.is_set() and name != "statistics":
            raise FencedError
        return getattr(self._store, name)


class Machine:
    """One store, and at most one process at a time that works on it."""

    def __init__(
        self, agents: dict[str, CreatedAgent], settings: Settings | None, before: Callable[[Runtime], object]
    ) -> None:
        self.agents = agents
        self.store = memory_store()
        self._settings = settings if settings is not None else Settings(drain_timeout=0)
        self._before = before
        self._runtime: Runtime | None = None
        self.process: Process | None = None

    async def start(
        self,
        agent: CreatedAgent | None = None,
        *,
        clock: Clock | None = None,
        dies_after: int | None = None,
        fails_at: frozenset[int] = frozenset(),
        kept_at: frozenset[int] = frozenset(),
        before: Callable[[Runtime], object] = lambda _: None,
    ) -> Runtime:
        """The next process; the one before is over. ``agent`` replaces the definition."""
        if agent is not None:
            self.agents = {"agent": agent}
        self.process = Process(self.store, dies_after=dies_after, fails_at=fails_at, kept_at=kept_at)
        process: Any = self.process
        self._runtime = Runtime(self.agents, store=process, settings=self._settings, clock=clock)
        self._before(self._runtime)
        before(self._runtime)
        await self._runtime.start()
        return self._runtime

    async def stop(self, timeout: float | None = None) -> None:
        """End it in order."""
        if self._runtime is not None:
            await self._runtime.stop(timeout)
            self._runtime = None

    async def kill(self) -> None:
        """End it at once: nothing of what it does from here on is left."""
        if self.process is None or self._runtime is None:
            return
        self.process.died.set()
        runtime, self._runtime = self._runtime, None
        with suppress(FencedError):
            await runtime.stop(0)
        await self.store.close()

    async def restart(self, agent: CreatedAgent | None = None, **how: Any) -> Runtime:
        """Kill it and start the next one."""
        await self.kill()
        return await self.start(agent, **how)

    async def row(self, submission_id: str) -> Submission:
        """What the store says of an input."""
        row = await self.store.submission(submission_id)
        assert row is not None
        return row


@asynccontextmanager
async def machine(
    agent: CreatedAgent, settings: Settings | None = None, *, before: Callable[[Runtime], object] = lambda _: None
) -> AsyncGenerator[Machine]:
    """A machine with this agent as ``agent``; nothing runs yet. ``before`` is done to each runtime before it starts."""
    made = Machine({"agent": agent}, settings, before)
    try:
        yield made
    finally:
        await made.kill()


async def shown(ref: LocalAgentRef) -> list[Message]:
    """The messages of its default session."""
    return [entry.message for entry in await ref.history()]


async def texts(ref: LocalAgentRef) -> list[str]:
    """Their texts."""
    return [text_of(message) for message in await shown(ref)]


async def signals(store: Store, key: AgentKey = U1, session: str = "default") -> list[str]:
    """The types of what the runtime told the model, and of what was dispatched."""
    messages = [read_message(entry).message for entry in await store.entries(key, session) if is_message(entry)]
    return [message.type for message in messages if isinstance(message, SignalMessage)]


async def kinds_stored(store: Store, session: str = "default") -> list[str]:
    """The kinds of the stored entries; of a message its role."""
    entries = await store.entries(U1, session)
    return [role(read_message(entry).message) if is_message(entry) else entry.kind for entry in entries]


def role(message: Message) -> str:
    """Who says it: ``user``, ``assistant``, ``toolResult``, ``signal``."""
    return str(type(message).__struct_config__.tag)


def results_in(messages: list[Message]) -> list[str]:
    """The texts of the tool results among these."""
    return [text_of(message) for message in messages if isinstance(message, ToolResultMessage)]


def _failed(error: Exception) -> "asyncio.Future[Committed]":
    future: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    future.exception()
    return future
