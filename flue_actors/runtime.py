"""`Runtime`: agents, a store, models and an actor system, put together. Embed it, or serve it with the gateway.

async with Runtime(agents={"joke-teller": agent}, store=sqlite("x.db")) as runtime:
    answer = await runtime.ref("joke-teller", "u1").prompt("hi")
"""

import asyncio
import os
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Self, Unpack

import msgspec

from flue_actors import context
from flue_actors.actors import ActorLimits, ActorSystem
from flue_actors.agent_ref import DispatchReceipt, IfBusy, SubmissionInfo
from flue_actors.agents.actor import AgentActor
from flue_actors.clock import Clock, SystemClock
from flue_actors.definition.agent import AgentContext, CreatedAgent
from flue_actors.definition.guards import Principal
from flue_actors.definition.project import AgentDefinition
from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.definition.settings import Settings
from flue_actors.equipping import Equipment
from flue_actors.errors import ConfigError, DrainingError, NotStartedError
from flue_actors.ids import DEFAULT_SESSION, AgentKey, Ids
from flue_actors.inputs import Input
from flue_actors.instances.state import InstanceState
from flue_actors.intake.admission import Admitted, Sending
from flue_actors.intake.approvals import Approvals
from flue_actors.intake.intake import Intake, left_before
from flue_actors.intake.retention import Retention
from flue_actors.loading import load_models
from flue_actors.memory import memory_store
from flue_actors.models.protocol import ModelClient
from flue_actors.models.registry import ConnectionOptions, ModelRegistry, Overrides, ProviderOptions
from flue_actors.observing import Observer, Observers, Unsubscribe
from flue_actors.refs import LocalAgentRef
from flue_actors.roster import Roster
from flue_actors.services import Services
from flue_actors.snapshot import RuntimeSnapshot, State
from flue_actors.storage import Store
from flue_actors.streaming import SessionStream
from flue_actors.submissions import LiveInstance, LiveInstances, Pending
from flue_actors.watchdog import Watchdog

LOAD_PATIENCE: Final = 0.8
"""Seconds that a start waits for a model's SDK (it takes one to load): the first turn waits for what is left of it."""


class Runtime:
    """Agents that keep working with their users. Everything it uses can be handed in; nothing is global.

    Args:
        agents: By name; values come from `create_agent` (or are whole definitions with guards).
        store: Where conversations live; default `memory_store()`.
        settings: Limits and timeouts.
        retention: How long what is done with is kept; default as the settings say.
        env: What initializers see as ``ctx.env``; default the process's environment.
        clock, rng: Wall clock and randomness, for ids and jitter.
    """

    def __init__(
        self,
        agents: Mapping[str, CreatedAgent | AgentDefinition] | None = None,
        *,
        store: Store | None = None,
        settings: Settings | None = None,
        retention: Retention | None = None,
        env: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.settings = settings if settings is not None else Settings()
        self.state: State = "new"
        kept = Retention(idle=self.settings.retain_idle, submissions=self.settings.retain_submissions)
        self._retention = retention if retention is not None else kept
        self._store = store if store is not None else memory_store()
        self._env = env if env is not None else os.environ
        self._clock = clock if clock is not None else SystemClock()
        self._rng = rng if rng is not None else random.Random()
        self._models = ModelRegistry(max_concurrency=self.settings.model_concurrency)
        self._observers = Observers()
        self._instances = LiveInstances()
        self._roster = Roster({})
        self._resolved: dict[str, ResolvedAgent] = {}  # the newest configuration each agent had
        self._system = self._make_system()
        self._kinds: set[str] = set()  # names the actor system knows; they outlive a definition
        self._services: Services | None = None
        self._intake: Intake | None = None
        self._loading: asyncio.Task[None] | None = None
        self._shutdown: asyncio.Task[None] | None = None
        self._watchdog = Watchdog(self.settings.stall_warning)
        self.redefine(agents or {})

    # -- definitions ----------------------------------------------------------------------------------------------

    def redefine(self, agents: Mapping[str, CreatedAgent | AgentDefinition]) -> None:
        """Use these agents from now on. A running turn keeps its configuration; the next input uses the new one.

        Raises:
            ConfigError: A name or alias is used twice.
        """
        roster = Roster(agents)
        for name in set(roster.names) - self._kinds:
            self._system.register(name, lambda address: AgentActor(address, self))
            self._kinds.add(name)
        self._roster = roster
        if self._intake is not None and self.state == "running":
            self._intake.unpark()

    def use_store(self, store: Store) -> None:
        """Keep conversations there; before `start` only.

        Raises:
            ConfigError: The runtime has started.
        """
        if self.state != "new":
            raise ConfigError("The store is chosen before the runtime starts.")
        self._store = store

    def definition(self, agent: CreatedAgent | str) -> AgentDefinition:
        """The agent's current definition, by name, alias, or value.

        Raises:
            UnknownAgentError: This runtime has no such agent.
        """
        return self._roster.find(agent)

    @property
    def agents(self) -> tuple[AgentDefinition, ...]:
        """Every agent, by name."""
        return tuple([self._roster.find(name) for name in self._roster.names])

    # -- life -----------------------------------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        """True while it takes work."""
        return self.state == "running"

    @property
    def draining(self) -> bool:
        """True from the beginning of `stop` on."""
        return self.state in {"draining", "stopped"}

    async def start(self) -> None:
        """Open the store, take up what an earlier process left, and take work.

        Raises:
            ConfigError: It was started before.
            StoreError: The store cannot be used; it is closed again.
        """
        if self.state != "new":
            raise ConfigError("A runtime starts once; make a new one.")
        self.state = "starting"
        try:
            self._services = services = await self._open()
        except BaseException:
            self.state = "new"
            raise
        self._watchdog.start()
        patient_until = asyncio.get_running_loop().time() + LOAD_PATIENCE
        self._loading = loading = asyncio.ensure_future(load_models(self._models, self.agents))
        try:
            await self._system.start()
            left = await left_before(services, self._roster)
            await asyncio.wait([loading], timeout=max(0.0, patient_until - asyncio.get_running_loop().time()))
            if loading.done():
                await loading
        except BaseException:
            await self._shut_down()
            raise
        self._intake = Intake(services, self._system, self._instances, self._retention, lambda: self._roster)
        self.state = "running"
        self._intake.begin(left)
        self.when_loaded(self._intake.work_off)  # what was left has waited longer than whoever comes now

    def when_loaded(self, then: Callable[[], object]) -> None:
        """Call ``then`` once the models known at the start are loaded; before `start` there is nothing to wait for."""
        if self._loading is None or self._loading.done():
            then()
        else:
            self._loading.add_done_callback(lambda _: then())

    async def stop(self, timeout: float | None = None) -> None:
        """Take no more work, let what runs come to a boundary, and close the store.

        A turn ends with its reply; between two model calls the rest is left to the next start. So is what does not get
        there in time, with what was streamed of it, and what has not been begun. Idempotent; everybody who calls it
        waits for the same end. Cancelling the caller does not stop it.

        Args:
            timeout: Seconds that running work may take; default ``settings.drain_timeout``. A second call with a
                shorter one cuts the first one's short: 0 cancels what runs now.
        """
        if self.state == "running":
            self.state = "draining"
            if self._intake is not None:
                self._intake.close()
            self._shutdown = asyncio.ensure_future(self._shut_down(timeout))
        elif self.state == "draining" and timeout is not None:
            await self._system.stop(timeout=timeout)
        if self._shutdown is not None:
            await asyncio.shield(self._shutdown)

    async def _shut_down(self, timeout: float | None = None) -> None:
        try:
            if self._intake is not None:
                await self._intake.end()
            if self._loading is not None:
                self._loading.cancel()
                await asyncio.wait([self._loading])
            await self._system.stop(timeout=self.settings.drain_timeout if timeout is None else timeout)
            if self._intake is not None:
                await self._intake.settled()
            await self._instances.quiet()
            self._instances.feeds.close()
            await self._models.aclose()
        finally:
            await self._store.close()
            self._watchdog.stop()
            self.state = "stopped"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # -- use ------------------------------------------------------------------------------------------------------

    def ref(self, agent: CreatedAgent | str, id: str) -> LocalAgentRef:
        """The address of one instance; nothing happens until it is sent something.

        Raises:
            UnknownAgentError: This runtime has no such agent.
        """
        return LocalAgentRef(self, AgentKey(self.definition(agent).name, id))

    async def dispatch(
        self,
        agent: CreatedAgent | str,
        *,
        id: str,
        input: Any,
        session: str = DEFAULT_SESSION,
        if_busy: IfBusy = "queue",
        principal: Principal | None = None,
        idempotency_key: str | None = None,
    ) -> DispatchReceipt:
        """Hand an event (JSON) to an instance; returns when it is durably accepted. Arguments as `AgentRef.dispatch`.

        Raises:
            UnknownAgentError: This runtime has no such agent.
            InvalidRequestError: A blank or impossible id, session or key, or ``input`` is not JSON.
            SubmissionConflictError: The key was used for another input of this session.
            QueueFullError, DrainingError, OverloadedError, StoreError: Nothing was accepted.
        """
        ref = self.ref(agent, id).session(session)
        return await ref.dispatch(input, if_busy=if_busy, principal=principal, idempotency_key=idempotency_key)

    def observe(self, observer: Observer) -> Unsubscribe:
        """Call ``observer`` with every event of every agent, synchronously; returns how to stop that."""
        return self._observers.add(observer)

    def register_provider(self, name: str, **options: Unpack[ProviderOptions]) -> None:
        """Add a model provider that speaks a known wire protocol; see `ModelRegistry.register_provider`."""
        self._models.register_provider(name, **options)

    def register_client(self, name: str, client: ModelClient | Callable[[], ModelClient]) -> None:
        """Add a model provider of your own: a client, or what builds it on first use."""
        self._models.register_client(name, client)

    def configure_provider(self, name: str, **options: Unpack[ConnectionOptions]) -> None:
        """Patch how a provider is reached; see `ModelRegistry.configure_provider`."""
        self._models.configure_provider(name, **options)

    def override(self, models: Overrides) -> AbstractContextManager[None]:
        """Inside, this client answers in place of every model, or these in place of the names; for tests."""
        return self._models.override(models)

    def allow_model_requests(self, allowed: bool) -> None:
        """Whether providers may be asked over the network; see `ModelRegistry.allow_requests`."""
        self._models.allow_requests(allowed)

    @property
    def models(self) -> ModelRegistry:
        """The models this runtime can reach."""
        return self._models

    def bind(self) -> AbstractContextManager[None]:
        """Inside, the module-level `dispatch`, `observe` and so on mean this runtime."""
        return context.bound(self)

    def snapshot(self) -> RuntimeSnapshot:
        """Everything countable, now."""
        return RuntimeSnapshot(
            state=self.state,
            agents=self._roster.names,
            instances=len(self._instances),
            pending=self._instances.pending,
            backlog=0 if self._intake is None else self._intake.waiting,
            parked=len(self.parked),
            actors=self._system.snapshot(),
            store=self._store.statistics(),
            models=self._models.statistics(),
        )

    @property
    def parked(self) -> tuple[SubmissionInfo, ...]:
        """Accepted inputs of agents that are not defined any more. They wait: `redefine` with the agent takes them up."""
        return () if self._intake is None else self._intake.parked

    # -- what refs and actors need --------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """Where conversations live."""
        return self._store

    @property
    def services(self) -> Services:
        """What turns use. Raises NotStartedError."""
        if self._services is None:
            raise NotStartedError
        return self._services

    def follow(self, key: AgentKey, session: str, after: str | None) -> SessionStream:
        """A reader of a session's events; see `streaming`."""
        return SessionStream(self._store, self._instances.feeds, key, session, after)

    def live(self, key: AgentKey) -> LiveInstance | None:
        """What the instance has under way, if anything."""
        return self._instances.get(key)

    def enter(self) -> None:
        """Bind the running task to this runtime."""
        context.enter(self)

    def worked(self, seconds: float) -> None:
        """An input took this long: Retry-After is estimated from it."""
        if self._intake is not None:
            self._intake.worked(seconds)

    async def admit(self, key: AgentKey, session: str, given: Input, how: Sending) -> Admitted:
        """Accept an input; see `Admission.admit`.

        Raises:
            NotStartedError, DrainingError: The runtime takes no work.
        """
        newest = self._resolved.get(key.agent)
        if newest is not None:
            lane = newest.concurrency == "session"
            how = msgspec.structs.replace(how, lane=lane, max_queued=newest.max_queued)
        return await self._at_work().admit(key, session, given, how)

    async def abort(self, targets: Sequence[Pending], reason: str) -> int:
        """Have these aborted, also while the runtime drains; see `Delivery.abort`. Raises NotStartedError."""
        intake = self._intake if self.state == "draining" else None
        return await (intake or self._at_work()).abort(targets, reason)

    @property
    def approvals(self) -> Approvals:
        """Decisions on tool calls. Raises NotStartedError, DrainingError."""
        return self._at_work().approvals

    async def erase(self, key: AgentKey, session: str | None = None) -> None:
        """Remove a session or an instance; see `Removal.erase`. Raises NotStartedError, DrainingError."""
        await self._at_work().erase(key, session)

    def _at_work(self) -> Intake:
        if self._intake is None:
            raise NotStartedError
        if self.state != "running":
            raise DrainingError(retry_after=self.settings.drain_timeout)
        return self._intake

    def evict(self, key: AgentKey) -> bool:
        """Take an instance that is idle out of memory now; False when it is not there, or at work."""
        return self._system.evict(key.agent, key.id)

    def park(self, inputs: Sequence[Pending]) -> bool:
        """Put these inputs of one agent away if it is not defined any more; True when it is not."""
        if self._intake is None or inputs[0].submission.key.agent in self._roster:
            return False
        self._intake.park(inputs)
        return True

    def suspended(self, pending: Pending) -> None:
        """It waits for somebody's decision."""
        if self._intake is not None:
            self._intake.suspended(pending)

    async def resolve(self, pending: Pending, state: InstanceState) -> ResolvedAgent:
        """The agent's configuration for this input.

        Raises:
            ConfigError: The definition is wrong; UnknownAgentError: it is gone.
        """
        key = pending.submission.key
        agent = self.definition(key.agent).agent
        resolved = agent.static
        if resolved is None:
            kept = await state.decoded()
            given = AgentContext(agent=key.agent, id=key.id, env=self._env, principal=pending.principal, state=kept)
            resolved = await agent.resolve(given, timeout=self.settings.tool_timeout)  # the user's code, as a tool is
        self._resolved[key.agent] = resolved
        return resolved

    # -- inside ---------------------------------------------------------------------------------------------------

    def _make_system(self) -> ActorSystem:
        settings = self.settings
        limits = ActorLimits(
            # Admission is the bound, and each detached task may owe a report: nothing admitted finds the mailbox full.
            mailbox_size=2 * settings.max_pending,
            passivate_after=settings.passivate_after,
            max_active=settings.max_active,
            cancel_grace=settings.cancel_grace,
            max_children=settings.max_children,
        )
        return ActorSystem(limits=limits, rng=self._rng)

    async def _open(self) -> Services:
        fence = await self._store.open()
        return Services(
            store=self._store,
            fence=fence,
            models=self._models,
            settings=self.settings,
            observers=self._observers,
            clock=self._clock,
            ids=Ids(self._clock, self._rng),
            rng=self._rng,
            run_blocking=self._system.run_blocking,
            stopping=lambda: self.draining,
            shared_texts=set(),
            equipment=Equipment(),
            inside=self._inside,
        )

    def _inside(self) -> Intake:
        """Also while the runtime drains: what running work hands over belongs to it."""
        assert self._intake is not None
        return self._intake
