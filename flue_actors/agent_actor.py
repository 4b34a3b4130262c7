"""The actor of one agent instance: takes accepted inputs one at a time and settles each exactly once.

Its mailbox holds `Pending` submissions. Whatever ends an input (an answer, a failure, an abort, its deadline), the
outcome is written first and told second.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Protocol

from flue_actors.actors import Actor, Address
from flue_actors.definition.agent import ResolvedAgent
from flue_actors.errors import (
    ConfigError,
    FlueError,
    InternalError,
    InterruptedTurnError,
    ModelRefusedError,
    StoreError,
    TurnError,
)
from flue_actors.ids import AgentKey
from flue_actors.operation import Operation
from flue_actors.services import Services
from flue_actors.session import Session
from flue_actors.storage import Outcome
from flue_actors.submissions import Pending

logger = logging.getLogger("flue_actors.agents")

SESSIONS_IN_MEMORY: Final = 16
"""Transcripts one active instance keeps; others are read again when they are needed."""


class AgentHost(Protocol):
    """What an agent's actor needs from the runtime around it."""

    @property
    def services(self) -> Services:
        """Store, models, clock and so on."""
        ...

    def enter(self) -> None:
        """Bind the running task to this runtime."""
        ...

    def worked(self, seconds: float) -> None:
        """An input took this long."""
        ...

    async def resolve(self, pending: Pending) -> ResolvedAgent:
        """The agent's configuration for this input. Raises ConfigError, UnknownAgentError."""
        ...


class AgentActor(Actor):
    """Handles the submissions of one ``(agent, id)``. Sessions stay in memory while the actor does."""

    def __init__(self, address: Address, host: AgentHost) -> None:
        super().__init__()
        self._key = AgentKey(address.kind, address.id)
        self._host = host
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lanes = False

    def lane_of(self, message: Pending) -> Hashable | None:
        """With ``concurrency="session"``, sessions run side by side."""
        return message.submission.session if self._lanes else None

    async def on_receive(self, message: Pending) -> None:
        """Work on one submission until it is settled.

        Raises:
            FlueError: It could not be settled here; whoever handed it over has to.
        """
        self._host.enter()
        message.begin(self._host.services.clock.now_ms())
        name = message.submission.session
        session = await self._open(message)
        started = asyncio.get_running_loop().time()
        try:
            await self._work(Operation(self._host.services, session, message), message)
        except BaseException:
            self._forget(name)  # what is in memory may be no longer what is stored
            raise
        finally:
            self._host.worked(asyncio.get_running_loop().time() - started)

    async def _work(self, operation: Operation, pending: Pending) -> None:
        try:
            agent = await self._host.resolve(pending)
            self._adopt(agent)
            self.context.expire_after(agent.durability.timeout)
            await operation.run(agent)
        except asyncio.CancelledError:
            error = self.context.interrupted or InternalError()
            if isinstance(error, InterruptedTurnError):
                error = InterruptedTurnError()  # in a sender's words, not the actor system's
            if pending.claimed or not isinstance(error, InterruptedTurnError):
                await self._settle(operation, error)
            raise  # a stop leaves what no attempt has begun in the store, for the next start
        except StoreError:
            raise
        except FlueError as error:
            await self._settle(operation, error)
        except Exception as error:
            logger.exception("submission %s of %s failed", pending.submission_id, self._key)
            await self._settle(operation, InternalError(dev=repr(error)))

    async def _settle(self, operation: Operation, error: FlueError) -> None:
        if isinstance(error, ConfigError):
            logger.error("%s: %s %s", self._key, error.message, error.dev, exc_info=error)
            error = InternalError(dev=f"{error.message} {error.dev}".strip())
        failure = error if isinstance(error, TurnError) else InternalError(dev=repr(error))
        outcome: Outcome = "aborted" if failure.type == "aborted" else "failed"
        await operation.fail(failure, outcome)
        if isinstance(failure, ModelRefusedError):
            self._forget(operation.session_name)  # read anew, it leaves the refused input out

    async def _open(self, pending: Pending) -> Session:
        name = pending.submission.session
        session = self._sessions.get(name)
        if session is None:
            session = await self._load(pending)
            self._sessions[name] = session
            if len(self._sessions) > SESSIONS_IN_MEMORY:
                self._sessions.popitem(last=False)
        else:
            self._sessions.move_to_end(name)
        return session

    async def _load(self, pending: Pending) -> Session:
        name = pending.submission.session
        if pending.first:
            return Session(self._key, name)  # a read costs a thread hop, 0.1 ms, and there is nothing to read
        await pending.instance.decided()
        return await Session.load(self._host.services.store, self._key, name)

    def _forget(self, name: str) -> None:
        self._sessions.pop(name, None)

    def _adopt(self, agent: ResolvedAgent) -> None:
        """The configuration says whether sessions run side by side; what waits is looked at anew when that changes."""
        lanes = agent.concurrency == "session"
        if lanes != self._lanes:
            self._lanes = lanes
            self.context.reschedule()
