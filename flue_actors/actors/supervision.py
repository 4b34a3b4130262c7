"""When a failing actor may come back: a restart budget, then growing pauses. Pure; `Core` keeps the records."""

import random

import msgspec

from flue_actors.actors.limits import ActorLimits


class RestartRecord(msgspec.Struct, frozen=True):
    """What is remembered of one failing actor.

    Attributes:
        failures: Loop times of its failures within the window.
        pauses: How many pauses it has been given since it last behaved for a whole window.
        until: Loop time before which it must not start.
    """

    failures: tuple[float, ...] = ()
    pauses: int = 0
    until: float = 0.0


def after_failure(record: RestartRecord, now: float, limits: ActorLimits, rng: random.Random) -> RestartRecord:
    """The record after one more failure at ``now``.

    Within the budget the actor may restart at once (``until`` stays in the past). Beyond it each failure brings a pause
    twice as long as the last, spread by -50 % to 0 so that actors which failed together do not come back together.
    """
    recent = (*(at for at in record.failures if at > now - limits.restart_window), now)
    if len(recent) <= limits.restart_budget:
        return RestartRecord(recent, record.pauses, record.until)
    longest = min(limits.backoff_last, limits.backoff_first * 2**record.pauses)
    return RestartRecord(recent, record.pauses + 1, now + longest * rng.uniform(0.5, 1.0))


def is_forgiven(record: RestartRecord, now: float, limits: ActorLimits) -> bool:
    """True when the record no longer matters: no pause is on and the last failure left the window."""
    return record.until <= now and record.failures[-1] <= now - limits.restart_window
