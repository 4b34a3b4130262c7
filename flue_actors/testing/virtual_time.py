"""An event loop whose clock jumps: when nothing can run now, time moves to the next timer at once.

Timers keep their order and their distance, so a test of "after 30 s" takes microseconds and never flakes. While something
outside of the loop is under way (a thread, a socket, a subprocess), time is real: a jump would cut it off.
"""

import asyncio
import functools
import selectors
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

LONGEST: Final = 100_000.0
"""Virtual seconds that a test may take: one that waits for what never comes fails, and does not hang."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector event loop on virtual time, starting at 0.

    Args:
        patience: Real seconds to wait for what is under way outside of the loop before each jump; None = as long as
            something is under way, no jump at all. An open socket counts, so a test with a server gives a patience.
    """

    def __init__(self, *, patience: float | None = None) -> None:
        self._now = 0.0
        self._calls = 0
        self._children: list[asyncio.SubprocessTransport] = []
        self._holding: list[Callable[[], bool]] = []
        self._selector_of_loop = _JumpingSelector(self, patience)
        super().__init__(self._selector_of_loop)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock by hand, as if the loop had been blocked for ``seconds``."""
        self._now += seconds

    def hold_while(self, busy: Callable[[], bool]) -> Callable[[], None]:
        """Let time be real while ``busy()``, for work that the loop cannot see; returns how to end that."""
        self._holding.append(busy)
        return lambda: self._holding.remove(busy)

    @property
    def held(self) -> bool:
        """True while something outside of the loop is under way."""
        self._children = [child for child in self._children if child.get_returncode() is None]
        working = self._calls > 0 or self._children or self._selector_of_loop.watches
        return bool(working) or any(busy() for busy in self._holding)

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """See `asyncio.loop.run_in_executor`; time is real until the call returns."""
        future = super().run_in_executor(executor, func, *args)
        self._calls += 1
        future.add_done_callback(self._returned)
        return future

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> Any:
        """See `asyncio.loop.subprocess_exec`; time is real until the process has ended."""
        transport, protocol = await super().subprocess_exec(*args, **kwargs)
        self._children.append(transport)
        return transport, protocol

    async def subprocess_shell(self, *args: Any, **kwargs: Any) -> Any:
        """See `subprocess_exec`."""
        transport, protocol = await super().subprocess_shell(*args, **kwargs)
        self._children.append(transport)
        return transport, protocol

    def _returned(self, _: object) -> None:
        self._calls -= 1


class _JumpingSelector(selectors.BaseSelector):
    """Waits for I/O as any selector does, but in place of sleeping for a timer it advances the loop's clock."""

    def __init__(self, loop: VirtualTimeLoop, patience: float | None) -> None:
        self._loop = loop
        self._patience = patience
        self._real = selectors.DefaultSelector()

    @property
    def watches(self) -> bool:
        """True when there is more to listen to than the loop's own wake-up socket."""
        return len(self._real.get_map()) > 1

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return self._real.select(timeout)
        if self._patience is None and self._loop.held:
            return self._wait(timeout)
        ready = self._real.select(self._patience or 0.0)
        if not ready:
            self._loop.advance(timeout)
        return ready

    def _wait(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.monotonic()
        ready = self._real.select(timeout)
        self._loop.advance(time.monotonic() - began if ready else timeout)
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]], *, patience: float | None = None) -> T:
    """Run ``main()`` to its end on a new `VirtualTimeLoop`, as `asyncio.run` would, and return its result."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(patience=patience)) as runner:
        return runner.run(main())


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Decorates an async test: it becomes an ordinary function that runs on a loop of its own, whose clock jumps.

    So it needs no plugin for async tests and gets on with all of them, and with methods of `unittest.TestCase`. Async
    fixtures run on another loop: open such things in the test.

    Raises:
        TimeoutError: It took more than `LONGEST` virtual seconds.
    """

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_virtual(lambda: asyncio.wait_for(test(*args, **kwargs), LONGEST))

    return run
