"""Processes that work on one store, one after another: started, stopped, killed."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from flue_actors import testing
from flue_actors.clock import Clock, SystemClock
from flue_actors.conversation.entries import is_message, read_message
from flue_actors.definition.agent import CreatedAgent
from flue_actors.definition.settings import Settings
from flue_actors.ids import AgentKey
from flue_actors.messages import Message, SignalMessage, ToolResultMessage, text_of
from flue_actors.refs import LocalAgentRef
from flue_actors.runtime import Runtime
from flue_actors.storage import Store, Submission

U1 = AgentKey("agent", "u1")


class Machine(testing.Machine):
    """The kit's machine, whose only agent is called ``agent``."""

    def __init__(
        self, agents: dict[str, CreatedAgent], settings: Settings | None, before: Callable[[Runtime], object]
    ) -> None:
        stop_at_once = Settings(drain_timeout=0)
        super().__init__(agents, settings=settings or stop_at_once, clock=SystemClock(), allow_model_requests=True)
        self._before = before

    async def start(
        self,
        agent: CreatedAgent | None = None,
        *,
        clock: Clock | None = None,
        before: Callable[[Runtime], object] = lambda _: None,
        **how: Any,
    ) -> Runtime:
        """The next process; the one before is over. ``agent`` replaces the definition."""
        self.clock = clock if clock is not None else SystemClock()
        agents = None if agent is None else {"agent": agent}

        def prepared(runtime: Runtime) -> None:
            self._before(runtime)
            before(runtime)

        return await super().start(agents, before=prepared, **how)

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
        await made.crash()


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
