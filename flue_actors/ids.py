"""Ids: how each kind is made, and the rules names and ids must obey.

Prefixes follow Flue (``op_``, ``turn_``): a ULID behind a word, so ids sort by time and tell their kind. A dispatch id is
a UUID, as in Flue. Randomness and clock are injected, so a seeded run makes the same ids again.
"""

import random
import re
import uuid
from typing import Any, Final

import msgspec

from flue_actors.clock import Clock, SystemClock
from flue_actors.errors import InvalidRequestError

DEFAULT_SESSION: Final = "default"
DEFAULT_HARNESS: Final = "default"
TASK_PREFIX: Final = "task:"
MAX_ID_BYTES: Final = 512
PARTITIONS: Final = 1024

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Two characters (10 bits) a step: 13 look-ups instead of 26.
_PAIRS = [a + b for a in _CROCKFORD for b in _CROCKFORD]
_TIME_SHIFTS = range(40, -1, -10)
_RANDOM_SHIFTS = range(70, -1, -10)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")


class AgentKey(msgspec.Struct, frozen=True, order=True, gc=False, cache_hash=True):
    """The address of one agent instance. Exact: no normalising, no case folding."""

    agent: str
    id: str

    def __str__(self) -> str:
        return f"{self.agent}/{self.id}"


class Ids:
    """Makes ids from one clock and one source of randomness.

    They are unguessable enough to never collide (80 random bits), but they are names, not secrets.
    """

    __slots__ = ("_bits", "_clock", "_stamp")

    def __init__(self, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._bits = (rng if rng is not None else random.Random()).getrandbits
        self._stamp = (-1, "")  # ids of one millisecond share their first ten characters

    def ulid(self) -> str:
        """26 characters of Crockford base 32: 48 bits of milliseconds, 80 random bits."""
        now = self._clock.now_ms()
        if now != self._stamp[0]:
            self._stamp = (now, _base32(now & 0xFFFF_FFFF_FFFF, _TIME_SHIFTS))
        return self._stamp[1] + _base32(self._bits(80), _RANDOM_SHIFTS)

    def submission(self) -> str:
        """``sub_<ULID>``."""
        return "sub_" + self.ulid()

    def operation(self) -> str:
        """``op_<ULID>``."""
        return "op_" + self.ulid()

    def turn(self) -> str:
        """``turn_<ULID>``."""
        return "turn_" + self.ulid()

    def tool_call(self) -> str:
        """``call_<ULID>``."""
        return "call_" + self.ulid()

    def dispatch(self) -> str:
        """A random UUID (version 4)."""
        return str(uuid.UUID(int=self._bits(128), version=4))


def _base32(value: int, shifts: range) -> str:
    pairs = _PAIRS
    return "".join([pairs[(value >> shift) & 1023] for shift in shifts])


def is_name(text: str) -> bool:
    """True for what agents, profiles and tools may be called: a letter, then letters, digits, ``_`` or ``-``."""
    return _NAME.match(text) is not None


def check_instance_id(value: str) -> str:
    """The id unchanged, or InvalidRequestError: not blank, valid Unicode, at most 512 bytes of UTF-8."""
    return _check_text(value, "id")


def check_session_name(value: str) -> str:
    """The session name unchanged, or InvalidRequestError: as an id, and never one of a task's own sessions."""
    name = _check_text(value, "session")
    if name.startswith(TASK_PREFIX):
        raise InvalidRequestError(
            f'Session names starting with "{TASK_PREFIX}" belong to delegated tasks.',
            details="Choose another session name.",
        )
    return name


def is_below(session: str, root: str) -> bool:
    """True when a session is this one, or that of one of its tasks: ``task:<parent>:<id>``."""
    while session != root and session.startswith(TASK_PREFIX):
        session = session.removeprefix(TASK_PREFIX).rpartition(":")[0]
    return session == root


def _check_text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequestError(f"The {what} is {type(value).__name__}, not text.", details=f"Write str({what}).")
    if not value.strip():
        raise InvalidRequestError(f"The {what} is blank.", details=f"It has 1 to {MAX_ID_BYTES} bytes of UTF-8.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidRequestError(f"The {what} is not valid Unicode.", details="Send valid UTF-8.") from None
    if size > MAX_ID_BYTES:
        raise InvalidRequestError(f"The {what} is longer than {MAX_ID_BYTES} bytes.", details=f"Send a shorter {what}.")
    return value
