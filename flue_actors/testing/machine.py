"""`Machine`: one store, and at most one process at a time that works on it: started, stopped, crashed, restarted."""

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any, Final, Protocol, Self, cast

from flue_actors.clock import Clock
from flue_actors.definition.agent import CreatedAgent
from flue_actors.definition.project import AgentDefinition
from flue_actors.definition.settings import Settings
from flue_actors.errors import FencedError, NotStartedError
from flue_actors.memory import memory_store
from flue_actors.models.registry import Overrides
from flue_actors.refs import LocalAgentRef
from flue_actors.runtime import Runtime
from flue_actors.storage import Store
from flue_actors.testing.complaints import listening
from flue_actors.testing.crashing import Process
from flue_actors.testing.virtual_clock import VirtualClock
from flue_actors.testing.virtual_time import VirtualTimeLoop

Agents = Mapping[str, CreatedAgent | AgentDefinition]

EVICTION_PATIENCE: Final = 30.0
"""Seconds that `Machine.evict` waits for an instance to come to rest."""


class Machine:
    """A runtime under test. ``async with Machine({"agent": agent}, models=model) as machine:`` starts it.

    Leaving the block ends it as a crash does, and raises what a test model found wrong with the test.

    Attributes:
        store: What outlives every crash.
        clock: The wall clock: it follows the loop's time.
        complaints: What will be raised at the end; a test that expects it may clear it.

    Args:
        agents: By name, as for `Runtime`.
        models: What answers in place of the agents' models; see `Runtime.override`.
        store: Default: a new memory store.
        clock: Default: a new `VirtualClock`.
        env: What initializers see as ``ctx.env``.
        allow_model_requests: Whether providers may be asked over the network.
    """

    def __init__(
        self,
        agents: Agents | None = None,
        *,
        models: Overrides | None = None,
        store: Store | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
        env: Mapping[str, str] | None = None,
        allow_model_requests: bool = False,
    ) -> None:
        self.agents: Agents = agents if agents is not None else {}
        self.store = store if store is not None else memory_store()
        self.clock: Clock = clock if clock is not None else VirtualClock()
        self.complaints: list[Exception] = []
        self.process: Process | None = None
        self._models = models
        self._settings = settings
        self._env = env
        self._allowed = allow_model_requests
        self._rng = random.Random(0)  # ids are the same in every run, and never twice in one
        self._runtime: Runtime | None = None
        self._life = ExitStack()

    @property
    def runtime(self) -> Runtime:
        """The process that runs now. Raises NotStartedError."""
        if self._runtime is None:
            raise NotStartedError
        return self._runtime

    def ref(self, agent: CreatedAgent | str, id: str) -> LocalAgentRef:
        """The address of an instance, in the process that runs now; see `Runtime.ref`."""
        return self.runtime.ref(agent, id)

    async def start(
        self,
        agents: Agents | None = None,
        *,
        models: Overrides | None = None,
        dies_after: int | None = None,
        fails_at: frozenset[int] = frozenset(),
        kept_at: frozenset[int] = frozenset(),
        before: Callable[[Runtime], object] = lambda _: None,
    ) -> Runtime:
        """Start the next process; the one before is over.

        Args:
            agents, models: In place of those before, for this process and the next ones.
            dies_after, fails_at, kept_at: What goes wrong at which commit; see `Process`.
            before: Done to the runtime before it starts: providers, observers.
        """
        self.agents = agents if agents is not None else self.agents
        self._models = models if models is not None else self._models
        self.process = Process(self.store, dies_after=dies_after, fails_at=fails_at, kept_at=kept_at)
        store = cast("Store", self.process)
        runtime = Runtime(
            self.agents, store=store, settings=self._settings, clock=self.clock, env=self._env, rng=self._rng
        )
        runtime.allow_model_requests(self._allowed)
        if self._models is not None:
            self._life.enter_context(runtime.override(self._models))
        loop = asyncio.get_running_loop()
        if isinstance(loop, VirtualTimeLoop):
            self._life.callback(loop.hold_while(lambda: _in_threads(runtime)))
        before(runtime)
        with listening(self.complaints):
            await runtime.start()
        self._runtime = runtime
        return runtime

    async def stop(self, timeout: float | None = None) -> None:
        """End it in order; see `Runtime.stop`."""
        if self._runtime is not None:
            runtime, self._runtime = self._runtime, None
            await runtime.stop(timeout)
            self._life.close()

    async def crash(self) -> None:
        """End it at once, as a killed process ends: nothing of what it does from here on is left in the store.

        Its tasks are cancelled, for it shares its Python process with the test; whoever awaits it gets an error.
        """
        if self._runtime is None or self.process is None:
            return
        self.process.died.set()
        runtime, self._runtime = self._runtime, None
        with suppress(FencedError):
            await runtime.stop(0)
        self._life.close()
        await self.store.close()

    async def restart(self, agents: Agents | None = None, **how: Any) -> Runtime:
        """Crash it, unless that has happened, and start the next process on the same store; arguments as `start`."""
        await self.crash()
        return await self.start(agents, **how)

    async def evict(self, ref: LocalAgentRef) -> None:
        """Take an instance out of memory, as idle time would: its next message finds what the store has of it.

        Raises:
            TimeoutError: It is at work, and still is 30 s later.
        """
        async with asyncio.timeout(EVICTION_PATIENCE):
            while self._in_memory(ref):
                self.runtime.evict(ref.key)
                await asyncio.sleep(0.01)  # nothing tells that an instance came to rest

    def _in_memory(self, ref: LocalAgentRef) -> bool:
        actors = self.runtime.snapshot().actors.actors
        return any((actor.address.kind, actor.address.id) == (ref.key.agent, ref.key.id) for actor in actors)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.crash()
        if kind is None:
            self.raise_complaints()

    def raise_complaints(self) -> None:
        """Raise what test models found wrong with the test.

        Raises:
            ExceptionGroup: More than one thing.
        """
        if len(self.complaints) > 1:
            raise ExceptionGroup("The test models have several complaints", self.complaints)
        if self.complaints:
            raise self.complaints[0]


class FlueRuntime(Protocol):
    """The fixture ``flue_runtime``: makes a `Machine`."""

    def __call__(
        self,
        agents: Agents | None = None,
        *,
        models: Overrides | None = None,
        store: Store | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Machine:
        """Arguments as `Machine`; the test enters it: ``async with flue_runtime({...}) as machine``."""
        ...


def _in_threads(runtime: Runtime) -> bool:
    if runtime.state in {"new", "starting"}:
        return False
    blocking = runtime.snapshot().actors.blocking
    return blocking.hosts > blocking.idle
