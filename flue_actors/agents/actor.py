"""The actor of one agent instance: takes accepted inputs one at a time and settles each exactly once.

Its mailbox holds `Pending` submissions. Whatever ends an input (an answer, a failure, an abort, its deadline), the
outcome is written first and told second. What a stop ends stays in the store for the next start.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Hashable, Sequence
from contextlib import suppress
from typing import Final, Protocol

import msgspec

from flue_actors.actors import Actor, Address, LeaveReason
from flue_actors.agents.operation import Operation
from flue_actors.agents.overriding import limits_of
from flue_actors.agents.settling import TRIES, aborted, keep_for_next_start, tell_outcome
from flue_actors.conversation.resumption import Resumption
from flue_actors.definition.limits import Limits
from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.errors import (
    AttemptsExhaustedError,
    ConfigError,
    ContextOverflowError,
    DeadlineExceededError,
    FencedError,
    FlueError,
    InternalError,
    InterruptedTurnError,
    ModelRefusedError,
    ModelRejectedError,
    StoreError,
    TurnError,
)
from flue_actors.ids import TASK_PREFIX, AgentKey
from flue_actors.instances.instance import Instance
from flue_actors.instances.state import InstanceState
from flue_actors.services import Services
from flue_actors.session import Session
from flue_actors.storage import Submission
from flue_actors.submissions import Pending
from flue_actors.turns.reopening import patiently, reopen
from flue_actors.turns.tool_calls import Boundary, Suspended

logger = logging.getLogger("flue_actors.agents")

SESSIONS_IN_MEMORY: Final = 16
"""Transcripts one active instance keeps; others are read again when they are needed."""

LONGEST_BURST: Final = 10
"""An agent with ``debounce`` answers at the latest after so many times that long."""


class Forget(msgspec.Struct, frozen=True):
    """A message to the actor: this session (None: every one) is being removed, keep nothing of it."""

    session: str | None


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

    def park(self, inputs: Sequence[Pending]) -> bool:
        """Put these inputs of one agent away if it is not defined any more; True when it is not."""
        ...

    def suspended(self, pending: Pending) -> None:
        """It waits for somebody's decision."""
        ...

    async def resolve(self, pending: Pending, state: InstanceState) -> ResolvedAgent:
        """The agent's configuration for this input. Raises ConfigError, UnknownAgentError."""
        ...


class AgentActor(Actor):
    """Handles the submissions of one ``(agent, id)``. Sessions stay in memory while the actor does."""

    def __init__(self, address: Address, host: AgentHost) -> None:
        super().__init__()
        self._key = AgentKey(address.kind, address.id)
        self._host = host
        self._instance: Instance | None = None
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lanes = False

    def lane_of(self, message: Pending | Forget) -> Hashable | None:
        """With ``concurrency="session"``, sessions run side by side; a detached task runs beside them in any case."""
        session = message.session if isinstance(message, Forget) else message.submission.session
        if session is None:
            return None  # alone
        return session if self._lanes or session.startswith(TASK_PREFIX) else ""

    def on_stop(self, reason: LeaveReason) -> Awaitable[None] | None:
        """Let go of the sandbox, if it was opened."""
        return self._instance.close() if self._instance is not None and self._instance.has_sandbox else None

    async def on_receive(self, message: Pending | Forget) -> None:
        """Work on one submission until it is settled, or until somebody has to decide something.

        Raises:
            FlueError: It could not be settled here; whoever handed it over has to.
        """
        if isinstance(message, Forget):
            self._forget(message.session)
            if message.session is None and self._instance is not None:
                instance, self._instance = self._instance, None
                await instance.close()  # its state and its files are removed too
            return
        if message.settled or message.host is not None:
            return  # it joined another one's turn
        if (
            self._host.services.stopping()
        ):  # the one before it ended after the wish to stop, before its mailbox was shut
            for each in (message, *message.joined()):
                keep_for_next_start(self._host.services, each)
            return
        message.held = await self._suspended_before(message)
        if message.held is not None:
            message.held.holds = True
            return
        self._host.enter()
        message.begin(self._host.services.clock.now_ms())
        started = asyncio.get_running_loop().time()
        try:
            await self._attend(message)
        finally:
            self._host.worked(asyncio.get_running_loop().time() - started)
        if self._instance is not None and self._instance.has_sandbox and message.instance.at_rest:
            await self._rest(self._instance)

    async def _rest(self, instance: Instance) -> None:
        """The outcome is told, and nobody waits for anything here."""
        try:
            await instance.rest()
        except StoreError as error:
            logger.warning("the sandbox of %s stays open: it cannot be stored now (%s)", self._key, error.type)

    async def _suspended_before(self, message: Pending) -> Pending | None:
        """The input that waits for somebody's decision, or is to be taken up again, and this one for it."""
        session, instance = message.submission.session, message.instance
        if instance.pending == 1:
            return None
        found = instance.suspended_in(session, by_session=self._lanes)
        if found in (None, message):
            return None if found is message else instance.posted_before(message, by_session=self._lanes)
        if not self._lanes:  # as far as is known: it may just have come into memory
            with suppress(FlueError):
                self._adopt(await self._host.resolve(message, self._own().state))
            found = instance.suspended_in(session, by_session=self._lanes)
        return None if found is message else found

    async def _attend(self, pending: Pending) -> None:
        """Work on it; again, from what is stored, when the store refused a write because it had kept an earlier one."""
        for _ in range(TRIES):
            if await self._try(pending):
                return
            logger.warning("submission %s goes on from what is stored", pending.submission_id)
        raise FencedError(dev=f"refused {TRIES} times")

    async def _try(self, pending: Pending) -> bool:
        """One attempt; False when its writes were refused though it is nobody else's."""
        operation = None
        try:
            session, past = await self._open(pending)
            pending.instance.place(session)
            operation = Operation(self._own(), session, pending, self.context.spawn, past)
            return await self._work(operation, pending, past)
        except FencedError:
            self._own().forget()
            pending.instance.lifetime.forget()
            self._forget(pending.submission.session)
            if self.context.fenced or self.context.interrupted is not None:
                raise
            decided = await self._look_again(operation.members if operation is not None else [pending])
            if pending.suspended and not decided:  # the store had kept that it waits
                self._host.suspended(pending)
                return True
            return decided
        except BaseException:
            self._forget(pending.submission.session)  # what is in memory may be no longer what is stored
            raise

    async def _look_again(self, members: Sequence[Pending]) -> bool:
        """Take over what the store says of them; True when that is an outcome."""
        services, decided = self._host.services, False
        for each in members:
            row = await patiently(services.store.submission, each.submission_id)
            if row is None or row.status == "settled":
                tell_outcome(services, each, row)
                decided = True
            else:
                each.reread(row)
        return decided

    async def _work(self, operation: Operation, pending: Pending, past: Resumption | None) -> bool:
        """False when it goes on at once, in another attempt."""
        try:
            for member in operation.members:  # who joined takes the turn with it
                if member.abort is not None:
                    raise aborted(member.abort)
            if self._host.park(operation.members):
                return True
            agent = await self._host.resolve(pending, self._own().state)
            self._adopt(agent)
            left = _left(agent, pending.submission, limits_of(agent, operation.options), past)
            await self._end_of_burst(agent, pending)
            self.context.expire_after(left)
            await operation.run(agent)
        except Boundary:
            await self._requeue(operation)
        except Suspended:
            self._forget(operation.session_name)
            await operation.suspend()
            self._host.suspended(pending)
        except asyncio.CancelledError:
            error = self.context.interrupted or InternalError()
            foreign = isinstance(error, InternalError) and self._host.services.stopping()
            if isinstance(error, InterruptedTurnError) or foreign:
                await self._requeue(operation)
            else:
                await self._settle(operation, error)
            raise
        except StoreError:
            raise
        except FlueError as error:
            await self._settle(operation, error)
        except Exception as error:
            logger.exception("submission %s of %s failed", pending.submission_id, self._key)
            await self._settle(operation, InternalError(dev=repr(error)))
        else:
            await self._tidy(operation)
        return True

    async def _tidy(self, operation: Operation) -> None:
        """The outcome is told: what comes now is nobody's answer, and fails nobody."""
        try:
            await operation.tidy()
        except FlueError as error:
            logger.warning("the history of %s was not summarised: %s", self._key, error.dev or error.message)
            self._forget(operation.session_name)

    async def _settle(self, operation: Operation, error: FlueError) -> None:
        if isinstance(error, ConfigError):
            logger.error("%s: %s %s", self._key, error.message, error.dev, exc_info=error)
            error = InternalError(dev=f"{error.message} {error.dev}".strip())
        failure = error if isinstance(error, TurnError) else InternalError(dev=repr(error))
        await operation.fail(failure)
        if isinstance(failure, ModelRefusedError | ModelRejectedError | ContextOverflowError):
            self._forget(operation.session_name)  # read anew, it leaves out what was not taken

    async def _requeue(self, operation: Operation) -> None:
        self._forget(operation.session_name)
        if not await operation.requeue():
            logger.warning("the store does not take that %s was interrupted; the attempt will count", self._key)
        for member in operation.members:
            keep_for_next_start(self._host.services, member)

    async def _end_of_burst(self, agent: ResolvedAgent, pending: Pending) -> None:
        """With ``debounce``: wait until its sender has said nothing for that long."""
        if agent.debounce is None or pending.resumed or pending.submission.kind != "direct":
            return
        loop = asyncio.get_running_loop()
        latest = loop.time() + LONGEST_BURST * agent.debounce
        while True:
            lane = pending.instance.lane(pending.submission.session, by_session=self._lanes)
            quiet_at = min(latest, max([each.arrived_at for each in lane]) + agent.debounce)
            if loop.time() >= quiet_at:
                return
            await asyncio.sleep(quiet_at - loop.time())

    async def _open(self, pending: Pending) -> tuple[Session, Resumption | None]:
        """Its session, and what earlier attempts at it came to.

        Raises:
            StoreError: The store refused.
        """
        name = pending.submission.session
        await pending.instance.decided()
        if pending.resumed:
            session, past = await reopen(self._host.services, pending.submission)
            self._keep(session)
            return session, past
        session = self._sessions.get(name)
        if session is None:
            session = await self._load(pending)
            self._keep(session)
        else:
            self._sessions.move_to_end(name)
        return session, None

    async def _load(self, pending: Pending) -> Session:
        name = pending.submission.session
        if pending.first:
            return Session(self._key, name)  # a read costs a thread hop, 0.1 ms, and there is nothing to read
        session, _ = await patiently(Session.load, self._host.services.store, self._key, name)
        return session

    def _own(self) -> Instance:
        if self._instance is None:
            self._instance = Instance(self._host.services, self._key)
        return self._instance

    def _keep(self, session: Session) -> None:
        self._sessions[session.name] = session
        if len(self._sessions) > SESSIONS_IN_MEMORY:
            self._sessions.popitem(last=False)

    def _forget(self, name: str | None) -> None:
        if name is None:
            self._sessions.clear()
        else:
            self._sessions.pop(name, None)

    def _adopt(self, agent: ResolvedAgent) -> None:
        """The configuration says whether sessions run side by side; what waits is looked at anew when that changes."""
        lanes = agent.concurrency == "session"
        if lanes != self._lanes:
            self._lanes = lanes
            self.context.reschedule()


def _left(agent: ResolvedAgent, submission: Submission, limits: Limits, past: Resumption | None) -> float:
    """Seconds this attempt may take.

    Raises:
        AttemptsExhaustedError, DeadlineExceededError: None at all.
    """
    durability = agent.durability
    spent_ms = 0 if past is None else past.spent_ms
    if submission.attempt - submission.excused >= durability.attempts:
        raise AttemptsExhaustedError(meta={"attempts": submission.attempt})
    allowed = durability.timeout if limits.seconds is None else min(durability.timeout, limits.seconds)
    left = allowed - spent_ms / 1000
    if left <= 0:
        raise DeadlineExceededError
    return left
