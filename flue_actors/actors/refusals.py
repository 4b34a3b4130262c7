"""The errors of messages that were not handled, or not to their end. Each call makes a new one: errors are not shared."""

from flue_actors.actors.address import DropReason
from flue_actors.errors import (
    AbortedError,
    ActorUnavailableError,
    DeadlineExceededError,
    FlueError,
    InterruptedTurnError,
)


def given_up() -> FlueError:
    """Its asker stopped waiting."""
    return AbortedError("The reply was given up.")


def cancelled_outside() -> FlueError:
    """Its Task was cancelled from outside before its first step."""
    return AbortedError("The work was cancelled from outside.")


def parent_ended() -> FlueError:
    """It was for a child, and the message that spawned the child is over."""
    return AbortedError("The work this was part of has ended.")


def stopping() -> FlueError:
    """The stopping system cannot finish it."""
    return InterruptedTurnError("The system is stopping.")


def backing_off(pause: float) -> FlueError:
    """Its actor must not start for ``pause`` seconds."""
    return ActorUnavailableError("The actor is pausing after failures.", retry_after=pause)


def not_started(cause: BaseException) -> FlueError:
    """Its actor could not start."""
    error = ActorUnavailableError("The actor could not start.")
    error.__cause__ = cause
    return error


def reason_of(interruption: FlueError) -> DropReason:
    """Why a message was dropped that was cancelled between the start of its Task and its first step."""
    if isinstance(interruption, DeadlineExceededError):
        return "expired"
    return "stopped" if isinstance(interruption, InterruptedTurnError) else "aborted"
