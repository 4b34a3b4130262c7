"""An event loop for simulated runs: virtual time, no sockets, no threads, and it can die between any two steps.

`call_soon` keeps asyncio's first-in-first-out order, which code relies on. What a real machine may reorder (disks,
providers, clients) takes random virtual time instead, and timers that are due at the same moment fire in random order.
"""

import asyncio
import contextvars
import heapq
import inspect
import random
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

Context = contextvars.Context | None


class Crashed(BaseException):
    """The simulated process is dead: nothing of it runs any more."""


class Stuck(Exception):
    """Nothing is left to run though somebody waits, or it does not end."""


class _Handle:
    """A callback that will run. ``callback`` is None once it is cancelled."""

    __slots__ = ("_when", "args", "callback", "context")

    def __init__(self, callback: Callable[..., object], args: Any, context: Context, when: float) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context if context is not None else contextvars.copy_context()
        self._when = when

    def cancel(self) -> None:
        self.callback = None

    def cancelled(self) -> bool:
        return self.callback is None

    def when(self) -> float:
        return self._when


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Runs coroutines in virtual time from ``now`` on.

    Attributes:
        crash: Set it, and `run` raises `Crashed` before the next step.
        faults: Errors that nobody caught.
        steps: Callbacks run so far.
    """

    def __init__(self, now: float, rng: random.Random) -> None:
        self.crash = False
        self.faults: list[str] = []
        self.steps = 0
        self._now = now
        self._rng = rng
        self._count = 0
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[float, float, int, _Handle]] = []

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Any, *args: Any, context: Context = None) -> Any:
        handle = _Handle(callback, args, context, 0.0)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context = None) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context = None) -> Any:
        handle = _Handle(callback, args, context, when)
        self._count += 1
        heapq.heappush(self._timers, (when, self._rng.random(), self._count, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context = None) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        task = context.get("task")
        where = "" if task is None else task.get_coro().__qualname__
        self.faults.append(f"{context.get('message')}: {where} {context.get('exception')!r}")

    def run(self, main: Coroutine[Any, Any, None], *, steps: int) -> None:
        """Run ``main`` to its end, in at most that many steps.

        Raises:
            Crashed: `crash` was set.
            Stuck: It does not end.
        """
        events._set_running_loop(self)  # as every event loop does
        try:
            task = self.create_task(main)
            self._run_until(task, self.steps + steps)
        finally:
            events._set_running_loop(None)
        task.result()

    def _run_until(self, task: "asyncio.Task[None]", last: int) -> None:
        ready = self._ready
        while not task.done():
            if not ready:
                self._wake()
            handle = ready.popleft()
            callback = handle.callback
            if callback is None:
                continue
            self.steps += 1
            try:
                handle.context.run(callback, *handle.args)
            except Exception as error:
                self.faults.append(f"a callback raised {error!r}")
            if self.crash:
                raise Crashed
            if self.steps > last:
                raise Stuck("it does not end")

    def _wake(self) -> None:
        """Nothing can run now: go to the time of the next timer. All that are due then fire together, as in asyncio."""
        timers = self._timers
        while timers and (not self._ready or timers[0][0] <= self._now):
            when, _, _, handle = heapq.heappop(timers)
            if handle.callback is not None:
                self._now = max(self._now, when)
                self._ready.append(handle)
        if not self._ready:
            raise Stuck("everybody waits for somebody else")

    def left(self) -> list[str]:
        """The tasks of the product that have not ended, by what they run."""
        running = [task.get_coro() for task in asyncio.all_tasks(self) if not task.done()]
        places = [(each.cr_code.co_filename, each.__qualname__) for each in running if inspect.iscoroutine(each)]
        return sorted(name for file, name in places if "flue_actors" in file)

    def inside(self, function: Callable[[], object]) -> None:
        """Call it as if from a step of this loop."""
        events._set_running_loop(self)
        try:
            function()
        finally:
            events._set_running_loop(None)

    def bury(self, *, steps: int) -> None:
        """End every task of a dead loop, so that none is destroyed in the middle; what they do reaches nobody."""
        self.crash = False
        events._set_running_loop(self)
        try:
            for _ in range(200):  # the end of one message begins the next
                left = [task for task in asyncio.all_tasks(self) if not task.done()]
                if not left:
                    break
                left.sort(key=_name)
                for task in left:
                    task.cancel()
                self._run_until(self.create_task(_ended(left)), self.steps + steps)
        except Stuck:
            pass
        finally:
            events._set_running_loop(None)
        for task in asyncio.all_tasks(self):  # what is stuck for good would be told of when it is collected
            coroutine = task.get_coro()
            if inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()
        self.faults.clear()


def _name(task: "asyncio.Task[Any]") -> str:
    return task.get_name()


async def _ended(tasks: "list[asyncio.Task[Any]]") -> None:
    await asyncio.wait(tasks, timeout=100)
