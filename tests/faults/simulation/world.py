"""One simulated run: a runtime on a simulated disk, its clients, and everything that goes wrong around them.

The world outlives the process. When that dies, its loop is abandoned where it stands, a new runtime starts on what the
disk kept, and the clients go on as real ones do: they ask for what was acknowledged, send again what has an idempotency
key, and give the rest up.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final

import pykka

from flue_actors.definition.agent import CreatedAgent, create_agent, define_agent_profile
from flue_actors.definition.fields import Durability
from flue_actors.definition.limits import Compaction, Limits
from flue_actors.definition.profile import AgentProfile
from flue_actors.definition.settings import Settings
from flue_actors.errors import StoreError
from flue_actors.events import Event
from flue_actors.ids import AgentKey
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.protocol import ModelRequest
from flue_actors.runtime import Runtime
from flue_actors.storage import Admit, Committed, Fence, Op
from tests.faults.simulation.actions import (
    Abort,
    Action,
    Compact,
    Crash,
    Decide,
    Erase,
    Follow,
    Full,
    Look,
    Operation,
    Pause,
    Plan,
    Send,
    Stop,
)
from tests.faults.simulation.clients import KEYS, Clients
from tests.faults.simulation.disk import Disk, SimulatedStore
from tests.faults.simulation.followers import Followers
from tests.faults.simulation.loop import Crashed, SimulatedLoop, Stuck
from tests.faults.simulation.model import SimulatedModel
from tests.faults.simulation.reference import Reference
from tests.faults.simulation.tools import SUBAGENTS, Ledger, make_more_tools, make_tools
from tests.faults.simulation.trace import shown
from tests.faults.validity import context_problems

STEPS: Final = 60_000
"""No action takes more steps of the loop than this."""

PATIENCE: Final = 10.0
"""Seconds after which every write that a full disk refused was tried again."""

EPOCH_MS: Final = 1_800_000_000_000
DAY_MS: Final = 86_400_000
TIMEOUT: Final = 300.0

MAX_TOKENS: Final = 600
KEPT_TOKENS: Final = 700
"""What a model whose window is known writes at most, and how much of a conversation is not summarised."""


class Life:
    """One process: from a start to a crash or a stop."""

    def __init__(self, number: int, loop: SimulatedLoop, store: SimulatedStore, runtime: Runtime) -> None:
        self.number = number
        self.loop = loop
        self.store = store
        self.runtime = runtime
        self.systems: list[pykka.ActorRef[Any]] = []
        self.stopping = False


class World:
    """See the module. Attributes that tools, the model and the disk use are public."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = random.Random(plan.seed ^ 0x5EED)
        self.reference = Reference(lanes=plan.lanes, attempts=plan.attempts)
        self.reference.totals.is_kept = plan.totals
        self.disk = Disk(random.Random(plan.seed ^ 0xD15C), self)
        self.disk.misreports = plan.misreports
        self.ledger = Ledger(self)
        self.clients = Clients(self, joins=plan.joins, long=plan.window > 0)
        self.followers = Followers(self, random.Random(plan.seed ^ 0xF0))
        self.reference.note = self.note
        self.calm = False
        self.troubled = plan.troubled
        self.trace: list[str] | None = None
        self.life: Life | None = None
        self.skew_ms = 0
        self._replies = 0
        self._fuse: Crash | None = None
        self._now = 0.0

    # -- what the disk, the model and the tools are told ------------------------------------------------------------

    def tick(self, kind: str) -> None:
        """Something happened at which the process may die."""
        fuse = self._fuse
        if fuse is None or fuse.at != kind or self.life is None:
            return
        if fuse.after:
            self._fuse = Crash(fuse.at, fuse.after - 1)
        else:
            self._fuse = None
            self.life.loop.crash = True

    def applied(self, fence: Fence, ops: tuple[Op, ...], committed: Committed) -> None:
        """A commit is durable."""
        if self.trace is not None:
            self.note(f"disk {fence.epoch}: {' + '.join(map(shown, ops))}")
        self.reference.apply(ops)
        for op in ops:
            if isinstance(op, Admit):
                self.clients.admitted(op.submission)

    def refused(self, ops: tuple[Op, ...], error: StoreError) -> None:
        """A commit failed."""
        self.reference.refusals += 1
        if self.trace is not None:
            self.note(f"disk refuses ({error.type} {error.dev}): {' + '.join(map(shown, ops))}")

    def misreported(self, ops: tuple[Op, ...]) -> None:
        """What was just applied is reported as failed."""
        self.note("  ... and is reported as failed")
        self.reference.misreported(ops)

    def asked(self, request: ModelRequest) -> None:
        """The model gets this request."""
        for problem in context_problems(request.messages):
            self.reference.blame(f"request of {request.affinity}: {problem}")
        agent, instance, session = request.affinity.split("/")
        self.reference.model_called((AgentKey(agent, instance), session), request.messages)

    def next_reply(self) -> int:
        """The number of the next reply."""
        self._replies += 1
        return self._replies

    def alive(self) -> bool:
        """False when the process that runs this code is dead."""
        return self.life is not None and self.life.loop is asyncio.get_running_loop()

    def runs(self, life: Any) -> bool:
        """True while this process is alive."""
        return self.life is life

    def process(self) -> Life:
        """The living process."""
        assert self.life is not None
        return self.life

    def now_ms(self) -> int:
        """The wall clock, which may jump when no process runs."""
        now = self.life.loop.time() if self.life is not None else self._now
        return EPOCH_MS + self.skew_ms + round(now * 1000)

    def note(self, line: str) -> None:
        """A line for who reads the trace."""
        if self.trace is not None:
            now = self.life.loop.time() if self.life is not None else self._now
            self.trace.append(f"{now:9.3f} {line}")

    # -- the life of the process ------------------------------------------------------------------------------------

    def do(self, action: Action) -> None:
        """Have it happen, however often the process dies of it."""
        self.note(f"--- {action}")
        match action:
            case Pause(seconds):
                self._run(lambda: asyncio.sleep(seconds))
            case Full(seconds):
                self.disk.full_until = self._time() + seconds
            case Crash(at="now"):
                self._crash()
            case Crash():
                self._fuse = action
            case Stop(seconds):
                self._stop(seconds)
            case _:
                self._run(lambda: self._aside(lambda: self._client(action)))

    async def _client(self, action: Operation | Decide | Compact | Follow) -> None:
        """Somebody does something."""
        match action:
            case Send():
                await self.clients.pursue(self.clients.add(action), self.process())
            case Abort():
                await self.clients.abort(action)
            case Look():
                await self.clients.look(action)
            case Erase():
                await self.clients.erase(action)
            case Decide():
                await self.clients.decide(action)
            case Compact():
                await self.clients.compact(action)
            case Follow():
                await self.followers.follow(self.followers.add(action), self.process())

    def settle(self) -> None:
        """Leave the system alone until everybody has an answer."""
        self.note("--- calm")
        self.calm = True
        self.disk.full_until = -1.0
        self._fuse = None
        self._quiet()
        if self.reference.open:  # what was reported as not accepted, and is there: a restart finds it
            self._quiet()

    def _quiet(self) -> None:
        self._run(lambda: self.clients.all_told(within=4 * TIMEOUT))
        self._run(lambda: self.followers.compare(self.process()))
        self._run(self.clients.read_everything)
        self._stop(30.0)

    def finish(self) -> None:
        """Leave it alone until it is quiet, and compare everything with what was promised."""
        try:
            self.settle()
            self._run(self._compare_sessions)
            self.reference.finish()
            self.clients.finish()
        finally:
            self.close()

    async def _compare_sessions(self) -> None:
        """What is on the disk is what was written there and not removed."""
        await asyncio.sleep(0)
        for key in KEYS:
            stored = {each.name for each in await self.disk.content.sessions(key)}
            known = {session for owner, session in self.reference.entries if owner == key}
            if stored != known:
                self.reference.blame(f"{key} has {sorted(stored)} on disk, and should have {sorted(known)}")

    def close(self) -> None:
        """End what is left of the last process."""
        if self.life is not None:
            self._bury(self.life)
            self.life = None

    async def urge(self) -> None:
        """The end is near: somebody decides what waits, or it expires."""
        if not self.plan.approvals:
            return
        if self.plan.undecided:
            self.skew_ms += DAY_MS // 10
        else:
            await self.clients.decide_on_everything()

    def _time(self) -> float:
        return self._now if self.life is None else self.life.loop.time()

    def _run(self, what: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Run it in a living process. A crash ends it early; the next action finds a new process."""
        try:
            life = self._living()
            life.loop.run(what(), steps=STEPS)
        except Crashed:
            self._crash()
        except Stuck as error:
            self.reference.blame(f"stuck: {error}")
            self._crash()
        else:
            self._check(life)

    def _living(self) -> Life:
        while self.life is None:
            try:
                self.life = self._start()
                self.life.loop.run(self._begin(self.life), steps=STEPS)
            except Crashed:
                self._crash()
            except StoreError as error:
                self.note(f"the start failed: {error!r}")
                self.disk.full_until = -1.0
                self._crash()
        return self.life

    def _start(self) -> Life:
        self.reference.began()
        self.skew_ms += self.rng.choice((0, 0, 0, DAY_MS, -DAY_MS))
        loop = SimulatedLoop(self._now, random.Random(self.rng.random()))
        store = SimulatedStore(self.disk)
        model = SimulatedModel(self)
        runtime = Runtime(
            {"agent": self._agent(model)},
            store=store,
            settings=self._settings(),
            env={},
            clock=self,
            rng=random.Random(self.rng.random()),
        )
        runtime.models.register_client(
            "simulated", model, models={"short": ModelInfo(context_window=self.plan.window, max_tokens=MAX_TOKENS)}
        )
        self.note(f"=== life {self.reference.life}")
        return Life(self.reference.life, loop, store, runtime)

    async def _begin(self, life: Life) -> None:
        known = pykka.ActorRegistry.get_all()
        await life.runtime.start()
        life.systems = [each for each in pykka.ActorRegistry.get_all() if each not in known]
        if self.plan.watched:
            life.runtime.observe(self._observe)
        self.followers.resume(life)
        for client in self.clients.unanswered():
            asyncio.ensure_future(self.clients.pursue(client, life))

    def _agent(self, model: SimulatedModel) -> CreatedAgent:
        plan = self.plan
        tools = make_tools(self.ledger)
        if plan.approvals or plan.counts:
            tools += make_more_tools(self.ledger)
        below: list[AgentProfile] = []
        for name in reversed(SUBAGENTS) if plan.tasks else ():
            profile = define_agent_profile(
                name=name, description="Helps.", instructions="Be simulated.", tools=tools, subagents=below
            )
            below = [profile]
        return create_agent(
            model="simulated/short" if plan.window else model,
            instructions="Be simulated.",
            tools=tools,
            subagents=below,
            durability=Durability(attempts=plan.attempts, timeout=plan.timeout),
            debounce=plan.debounce,
            compaction=Compaction(automatic=plan.automatic, keep_recent_tokens=KEPT_TOKENS),
            limits=Limits(total_tokens=10**9) if plan.totals else Limits(),
            concurrency="session" if plan.lanes else "instance",
        )

    def _settings(self) -> Settings:
        plan = self.plan
        return Settings(
            max_turns=6,
            stream_idle_timeout=15.0,
            passivate_after=plan.passivate_after,
            max_active=plan.max_active,
            max_queued=plan.max_queued,
            model_concurrency=plan.model_concurrency,
            cancel_grace=5.0,
            drain_timeout=3.0,
            stall_warning=0,  # no thread: a life that crashes never stops its runtime
        )

    def _observe(self, event: Event) -> None:
        if self.life is not None:
            self.reference.seen(event, stopping=self.life.stopping)

    def _stop(self, seconds: float) -> None:
        """A graceful stop; everything is let go of."""
        if self.life is None:
            return
        life = self.life
        life.stopping = True
        writable = self.disk.full_until + PATIENCE <= self._time()
        self._run(lambda: self._stopped(life, seconds))
        if self.life is not life:
            return  # it crashed on the way
        snapshot = life.runtime.snapshot()
        late = bool(self.reference.left_behind)  # whom a stubborn tool holds writes its report when everything is over
        if ((snapshot.instances or snapshot.pending) and not late) or snapshot.actors.actors:
            self.reference.blame(
                f"left behind by a stop: {snapshot.instances} instances, {snapshot.pending} inputs,"
                f" {len(snapshot.actors.actors)} actors"
            )
        if left := life.loop.left():
            self.note(f"left behind by a stop: {left}")
            if not self.reference.left_behind:
                self.reference.blame(f"left behind by a stop: {left}")
        self.reference.stopped(writable=writable)
        self._end(life)

    async def _stopped(self, life: Life, seconds: float) -> None:
        await life.runtime.stop(seconds)
        await asyncio.sleep(0.001)  # what was left behind hears that the store is closed

    def _crash(self) -> None:
        life = self.life
        if life is None:
            return
        self.note("*** crash")
        life.loop.inside(life.store.die)
        self._end(life)

    def _end(self, life: Life) -> None:
        """Whatever ended it: the disk is what it is, and time goes on."""
        self._fuse = None
        self._now = life.loop.time() + self.rng.choice((0.1, 3.0, 100.0))
        self.life = None
        self.reference.died()
        self._bury(life)

    def _bury(self, life: Life) -> None:
        life.loop.bury(steps=STEPS)
        for system in life.systems:
            pykka.ActorRegistry.unregister(system)

    def _check(self, life: Life) -> None:
        for fault in life.loop.faults:
            self.reference.blame(fault)
        life.loop.faults.clear()

    async def _aside(self, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A client does something, and is not waited for."""
        asyncio.ensure_future(what())
        await asyncio.sleep(0)


def run(plan: Plan, *, trace: list[str] | None = None) -> list[str]:
    """Run it; the problems found, in order."""
    world = World(plan)
    world.trace = trace
    for action in plan.actions:
        world.do(action)
    world.finish()
    return world.reference.problems
