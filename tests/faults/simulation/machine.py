"""The same world driven by hypothesis: where a schedule breaks a promise, it finds a shorter one that does."""

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from flue_actors.conversation.approval import Verdict
from tests.faults.simulation.actions import (
    CRASH_AT,
    POLICIES,
    Abort,
    Compact,
    Crash,
    Decide,
    Erase,
    Follow,
    Full,
    Pause,
    Plan,
    Send,
    Stop,
)
from tests.faults.simulation.world import World

INSTANCES = st.integers(0, 2)
SESSIONS = st.integers(0, 1)


class SimulationMachine(RuleBasedStateMachine):
    """Rules are the actions; the invariant is that the reference model has nothing to blame."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None

    @initialize(
        seed=st.integers(0, 100),
        lanes=st.booleans(),
        attempts=st.sampled_from((10, 2)),
        troubled=st.sampled_from((0.0, 0.2)),
        small=st.booleans(),
        watched=st.booleans(),
        more=st.booleans(),
        window=st.sampled_from((0, 0, 2600)),
    )
    def begin(
        self,
        *,
        seed: int,
        lanes: bool,
        attempts: int,
        troubled: float,
        small: bool,
        watched: bool,
        more: bool,
        window: int,
    ) -> None:
        self.world = World(
            Plan(
                seed=seed,
                lanes=lanes,
                attempts=attempts,
                troubled=troubled,
                passivate_after=3.0 if small else 900.0,
                max_active=2 if small else 10_000,
                max_queued=3 if small else 1_000,
                watched=watched,
                tasks=0.4 if more else 0.0,
                detached=0.3 if more else 0.0,
                approvals=0.3 if more else 0.0,
                counts=0.2 if more else 0.0,
                window=window,
                totals=more,
            )
        )

    @rule(
        instance=INSTANCES,
        session=SESSIONS,
        kind=st.sampled_from(("prompt", "dispatch", "stream")),
        if_busy=st.sampled_from(POLICIES),
        keyed=st.booleans(),
    )
    def send(self, **given: object) -> None:
        self._do(Send(**given))  # pyright: ignore[reportArgumentType]  # the strategies above are its fields

    @rule(instance=INSTANCES, session=st.none() | SESSIONS, back=st.none() | st.integers(0, 3))
    def abort(self, *, instance: int, session: int | None, back: int | None) -> None:
        self._do(Abort(instance=instance, session=session, back=back))

    @rule(instance=INSTANCES, session=st.none() | SESSIONS)
    def erase(self, *, instance: int, session: int | None) -> None:
        self._do(Erase(instance=instance, session=session))

    @rule(instance=INSTANCES, verdict=st.sampled_from(("approved", "denied")), torn=st.booleans())
    def decide(self, *, instance: int, verdict: Verdict, torn: bool) -> None:
        self._do(Decide(instance=instance, verdict=verdict, torn=torn))

    @rule(instance=INSTANCES, session=SESSIONS)
    def compact(self, *, instance: int, session: int) -> None:
        self._do(Compact(instance=instance, session=session))

    @rule(instance=INSTANCES, session=SESSIONS)
    def follow(self, *, instance: int, session: int) -> None:
        self._do(Follow(instance=instance, session=session))

    @rule(seconds=st.sampled_from((0.0, 0.002, 0.5, 2.0, 10.0, 60.0)))
    def pause(self, seconds: float) -> None:
        self._do(Pause(seconds))

    @rule(at=st.sampled_from(("now", *CRASH_AT)), after=st.integers(0, 8))
    def crash(self, *, at: str, after: int) -> None:
        self._do(Crash(at, after))  # pyright: ignore[reportArgumentType]  # one of the places a crash may be at

    @rule(seconds=st.sampled_from((0.0, 0.5, 30.0)))
    def stop(self, seconds: float) -> None:
        self._do(Stop(seconds))

    @rule(seconds=st.sampled_from((0.01, 5.0)))
    def fill_the_disk(self, seconds: float) -> None:
        self._do(Full(seconds))

    def teardown(self) -> None:
        if self.world is not None:
            self.world.finish()
            assert not self.world.reference.problems

    def _do(self, action: object) -> None:
        assert self.world is not None
        self.world.do(action)  # pyright: ignore[reportArgumentType]  # every rule makes an action
        assert not self.world.reference.problems
