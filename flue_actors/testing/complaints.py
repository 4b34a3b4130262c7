"""What a test model finds wrong with the test itself: the turn can only fail, the test has to.

A turn that nobody awaits (a dispatch) would hide it. A `Machine` listens and raises at its end what it heard.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

ErrorT = TypeVar("ErrorT", bound=Exception)

_listener: Final[ContextVar[list[Exception] | None]] = ContextVar("flue_actors_test_complaints", default=None)


def complaint(error: ErrorT) -> ErrorT:
    """The error, after it was made known to whoever listens."""
    heard = _listener.get()
    if heard is not None:
        heard.append(error)
    return error


@contextmanager
def listening(heard: list[Exception]) -> Generator[None]:
    """Inside, and in every task begun inside, complaints are added to ``heard``."""
    token = _listener.set(heard)
    try:
        yield
    finally:
        _listener.reset(token)
