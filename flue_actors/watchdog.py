"""Notices when one callback keeps the event loop to itself, and says in the log who it is.

A thread knocks a few times per threshold: if the loop has not come to answer for a threshold, the stack of its thread tells
who keeps it. The stack alone would not do: on uvloop it does not show where one callback ends and the next begins.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, Final

logger = logging.getLogger("flue_actors.watchdog")

_KNOCKS: Final = 4
"""Knocks per threshold: a stall is reported at most a quarter of it late."""

_SHOWN: Final = 8
"""Innermost frames in a report."""

_HOSTS: Final[Mapping[tuple[str, str], Callable[[dict[str, Any]], str]]] = {
    ("flue_actors.definition.tools", "Tool.execute"): lambda found: f'the tool "{found["self"].name}"',
    ("flue_actors.definition.agent", "CreatedAgent.resolve"): lambda found: (
        f'the initializer of agent "{found["ctx"].agent}"'
    ),
    ("flue_actors.definition.guards", "run_guard"): lambda _: "a guard",
    ("flue_actors.observing", "Observers.emit"): lambda _: "an observer",
}
"""Where users' code is called: module and function, and whose code it is, from that function's variables."""


class Watchdog:
    """Watches the loop that `start` is called on, until `stop` or until the loop is closed.

    Args:
        threshold: Seconds one callback may take; 0 = do not watch.
        now: Seconds of a clock that never goes back.
    """

    def __init__(self, threshold: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._threshold = threshold
        self._now = now
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin; on the loop."""
        if self._threshold > 0:
            watch = (asyncio.get_running_loop(), threading.get_ident())
            threading.Thread(target=self._watch, args=watch, name="flue-actors-watchdog", daemon=True).start()

    def stop(self) -> None:
        """End; the thread is gone soon after."""
        self._stopped.set()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        answered, knocked, reported = threading.Event(), 0.0, False
        answered.set()
        while not self._stopped.wait(self._threshold / _KNOCKS):
            if answered.is_set():
                answered.clear()
                knocked, reported = self._now(), False
                try:
                    loop.call_soon_threadsafe(answered.set)
                except RuntimeError:  # it is closed
                    return
            elif not reported and self._now() - knocked >= self._threshold:
                reported = True
                stack = list(_stack(sys._current_frames().get(thread)))  # pyright: ignore[reportPrivateUsage]  # the documented way to see another thread's stack
                _report(stack, self._now() - knocked)
                del stack  # a frame keeps its variables alive


def _report(stack: list[FrameType], seconds: float) -> None:
    shown = "".join(traceback.format_list([_summary(frame) for frame in reversed(stack[:_SHOWN])]))
    message = "%s blocks the event loop, for %.1f s so far: nobody else is served. It is here (latest call last):\n%s"
    logger.warning(message, _culprit(stack), seconds, shown.rstrip())


def _culprit(stack: list[FrameType]) -> str:
    for frame in stack:
        host = _HOSTS.get((frame.f_globals.get("__name__", ""), frame.f_code.co_qualname))
        if host is not None:
            return host(frame.f_locals)
    return "something"


def _summary(frame: FrameType) -> traceback.FrameSummary:
    return traceback.FrameSummary(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back
