"""What can happen to a simulated system, as data: a seed makes a list of these, and so does hypothesis."""

import random
from typing import Any, Final, Literal

import msgspec

from flue_actors.agent_ref import IfBusy
from flue_actors.conversation.approval import Verdict

INSTANCES: Final = 3
PAD: Final = 800
"""Tokens that make an input long, where that matters."""
POLICIES: Final[tuple[IfBusy, ...]] = ("queue", "reject", "interrupt", "steer", "merge", "supersede")
MIXES: Final[tuple[tuple[IfBusy, ...], ...]] = (
    ("queue",),
    ("queue",),
    ("queue", "reject"),
    ("queue", "interrupt"),
    ("queue", "supersede"),
    ("queue", "steer", "merge"),
    POLICIES,
    POLICIES,
)
CRASH_AT: Final = ("commit", "written", "tool", "delta")

CrashAt = Literal["commit", "written", "tool", "delta", "now"]


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """A client sends an input. ``keyed``: with an idempotency key, so it is sent again if nobody answered."""

    instance: int
    session: int = 0
    kind: Literal["prompt", "dispatch", "stream"] = "prompt"
    if_busy: IfBusy = "queue"
    keyed: bool = False


class Abort(msgspec.Struct, frozen=True, kw_only=True):
    """A client aborts an instance, one of its sessions, or the input that was sent ``back`` sends ago."""

    instance: int
    session: int | None = None
    back: int | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A client reads status and history."""

    instance: int


class Erase(msgspec.Struct, frozen=True, kw_only=True):
    """A client deletes one session, or the whole instance."""

    instance: int
    session: int | None = None


class Decide(msgspec.Struct, frozen=True, kw_only=True):
    """A client looks at what waits for a decision, and decides on one; ``torn``: another one the other way, at once."""

    instance: int
    verdict: Verdict
    torn: bool = False


class Compact(msgspec.Struct, frozen=True, kw_only=True):
    """A client wants a session summarised."""

    instance: int
    session: int


class Follow(msgspec.Struct, frozen=True, kw_only=True):
    """A client follows a session's events from its beginning on, over every restart."""

    instance: int
    session: int


class Pause(msgspec.Struct, frozen=True):
    """Nothing is sent for a while."""

    seconds: float


class Full(msgspec.Struct, frozen=True):
    """The disk is full for a while."""

    seconds: float


class Crash(msgspec.Struct, frozen=True):
    """The process will die at the ``after``-th moment of this kind from now."""

    at: CrashAt
    after: int = 0


class Stop(msgspec.Struct, frozen=True):
    """The process is asked to stop, gets this long to drain, and is started again."""

    seconds: float


Operation = Send | Abort | Look | Erase
Action = Operation | Decide | Compact | Follow | Pause | Full | Crash | Stop
OPERATIONS: Final = (Send, Abort, Look, Erase)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One simulated run.

    Attributes:
        seed: Of everything the actions leave open.
        lanes: ``concurrency="session"``.
        attempts, timeout: What an input may take; seconds of work.
        troubled: Chance that a model call meets a fault.
        misreports: Chance that a commit reported as failed was written.
        passivate_after, max_active, max_queued, model_concurrency: As in `Settings`.
        watched: Somebody observes every event.
        debounce: As in `AgentConfig`.
        tasks: Chance that a call gives a task to a subagent.
        detached: Chance that such a task is detached.
        approvals: Chance that a call needs somebody's decision.
        undecided: In the end nobody decides: what waits expires.
        counts: Chance that a call writes the instance's state.
        window: Tokens that the model reads; 0: nobody knows, and all of it. With one, inputs are `PAD` tokens longer.
        automatic: As in `Compaction`.
        totals: What the instance uses in its life is counted.
    """

    seed: int
    actions: tuple[Action, ...] = ()
    lanes: bool = False
    attempts: int = 10
    timeout: float = 300.0
    troubled: float = 0.1
    misreports: float = 0.0
    passivate_after: float = 900.0
    max_active: int = 10_000
    max_queued: int = 1_000
    model_concurrency: int = 512
    watched: bool = False
    debounce: float | None = None
    tasks: float = 0.0
    detached: float = 0.0
    approvals: float = 0.0
    undecided: bool = False
    counts: float = 0.0
    window: int = 0
    automatic: bool = True
    totals: bool = False

    @property
    def joins(self) -> bool:
        """Inputs may join the turn of another one."""
        policies = {action.if_busy for action in self.actions if isinstance(action, Send)}
        return self.debounce is not None or not self.actions or bool(policies & {"steer", "merge"})


def make_plan(seed: int, *, operations: int = 20) -> Plan:
    """The run of one seed. Every seed leaves some kinds of trouble out, so that the others show."""
    rng = random.Random(seed)
    policies = rng.choice(MIXES)
    trouble = [each for each in (_crash, _crash, _stop, _full, _pause) if rng.random() < 0.6]
    actions: list[Action] = []
    if rng.random() < 0.2:
        actions.append(Follow(instance=0, session=rng.choice((0, 1))))
    left = operations
    while left:
        if trouble and rng.random() < 0.35:
            actions.append(rng.choice(trouble)(rng))
        actions.append(_operation(rng, policies))
        left -= 1
        if rng.random() < 0.6:
            actions.append(Pause(rng.choice((0.0, 0.002, 0.05, 0.5, 2.0, 6.0))))
    more = _features(seed, actions) | _long(seed, actions)
    return Plan(
        seed=seed,
        actions=tuple(actions),
        lanes=rng.random() < 0.4,
        attempts=rng.choice((10, 10, 10, 2)),
        timeout=rng.choice((300.0, 300.0, 20.0)),
        troubled=rng.choice((0.0, 0.05, 0.2)),
        misreports=rng.choice((0.0, 0.0, 0.5)),
        passivate_after=rng.choice((900.0, 8.0)),
        max_active=rng.choice((10_000, 10_000, 2)),
        max_queued=rng.choice((1_000, 1_000, 3)),
        model_concurrency=rng.choice((512, 512, 1)),
        watched=rng.random() < 0.3,
        debounce=rng.choice((None, None, None, 0.5)),
        **more,
    )


def _features(seed: int, actions: list[Action]) -> dict[str, Any]:
    """What else some seeds have, beside the plan they would have without it; decisions are put among the actions."""
    rng = random.Random(seed ^ 0xFEA7)
    if rng.random() < 0.4:
        return {}
    tasks, approvals = rng.choice((0.0, 0.3, 0.6)), rng.choice((0.0, 0.0, 0.3, 0.6))
    for _ in range(rng.choice((3, 6, 12)) if approvals else 0):
        verdict: Verdict = rng.choice(("approved", "approved", "denied"))
        decide = Decide(instance=rng.choice((0, 0, 0, 1, 1, 2)), verdict=verdict, torn=rng.random() < 0.2)
        breaks = [place for place, each in enumerate(actions, 1) if isinstance(each, Crash | Stop)]
        near = bool(breaks) and rng.random() < 0.3
        actions.insert(rng.choice(breaks) if near else rng.randrange(len(actions) // 4, len(actions) + 1), decide)
    return {
        "tasks": tasks,
        "detached": rng.choice((0.0, 0.3, 0.6)) if tasks else 0.0,
        "approvals": approvals,
        "undecided": rng.random() < 0.3,
        "counts": rng.choice((0.0, 0.3)),
    }


def _long(seed: int, actions: list[Action]) -> dict[str, Any]:
    """The same for conversations that become too long for their model; wishes to summarise are put among the actions."""
    rng = random.Random(seed ^ 0x1096)
    if rng.random() < 0.7:
        return {"totals": rng.random() < 0.2}
    for _ in range(rng.choice((0, 1, 3, 6))):
        compact = Compact(instance=rng.choice((0, 0, 1)), session=rng.choice((0, 0, 1)))
        crash = [Crash(rng.choice(("commit", "written")), rng.randint(1, 4))] if rng.random() < 0.3 else []
        place = rng.randrange(len(actions) // 3, len(actions) + 1)
        actions[place:place] = [*([Pause(10.0)] if crash else []), *crash, compact]
    return {
        "window": rng.choice((2600, 3500)),
        "automatic": rng.random() < 0.7,
        "totals": rng.random() < 0.5,
    }


def _operation(rng: random.Random, policies: tuple[IfBusy, ...]) -> Action:
    roll = rng.random()
    instance = rng.choice((0, 0, 0, 1, 1, 2))
    session = rng.choice((0, 0, 1))
    if roll < 0.8:
        return Send(
            instance=instance,
            session=session,
            kind=rng.choice(("prompt", "prompt", "dispatch", "stream")),
            if_busy=rng.choice(policies),
            keyed=rng.random() < 0.4,
        )
    if roll < 0.86:
        return Look(instance=instance)
    if roll < 0.88:
        return Erase(instance=instance, session=rng.choice((None, session)))
    what: Any = rng.choice(({}, {"session": session}, {"back": rng.randrange(4)}, {"back": rng.randrange(2)}))
    return Abort(instance=instance, **what)


def _crash(rng: random.Random) -> Action:
    if rng.random() < 0.2:
        return Crash("now")
    return Crash(rng.choice(CRASH_AT), rng.choice((0, 1, 2, 3, 5, 8, 13)))


def _stop(rng: random.Random) -> Action:
    return Stop(rng.choice((0.0, 0.5, 3.0, 30.0)))


def _full(rng: random.Random) -> Action:
    return Full(rng.choice((0.01, 0.5, 5.0, 20.0)))


def _pause(rng: random.Random) -> Action:
    return Pause(rng.choice((10.0, 60.0)))
