"""An event loop whose clock jumps: when nothing can run now, time moves to the next timer at once.

Timers keep their order and their distance, so a test of "after 30 s" takes microseconds and never flakes. Sockets,
subprocesses and threads still need real time: such a test gives ``patience``, the real seconds the loop waits for them
before each jump.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector event loop on virtual time, starting at 0.

    Args:
        patience: Real seconds to wait for I/O and other threads before a jump; 0 looks once without waiting.
    """

    def __init__(self, *, patience: float = 0.0) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self, patience))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock by hand, as if the loop had been blocked for ``seconds``."""
        self._now += seconds


class _JumpingSelector(selectors.BaseSelector):
    """Waits for I/O as any selector does, but in place of sleeping for a timer it advances the loop's clock."""

    def __init__(self, loop: VirtualTimeLoop, patience: float) -> None:
        self._loop = loop
        self._patience = patience
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return self._real.select(timeout)
        ready = self._real.select(self._patience)
        if not ready:
            self._loop.advance(timeout)
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


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]], *, patience: float = 0.0) -> T:
    """Run ``main()`` to its end on a new `VirtualTimeLoop`, as `asyncio.run` would, and return its result."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(patience=patience)) as runner:
        return runner.run(main())
