"""The reply to an ask: awaited on the system's loop, fetched with `Reply.get` from any other thread."""

import asyncio
import functools
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future as ThreadFuture
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pykka

from flue_actors.errors import AbortedError, InternalError

if TYPE_CHECKING:
    from pykka._types import OptExcInfo

T = TypeVar("T")
R = TypeVar("R")
J = TypeVar("J")


class Reply(pykka.Future[T]):
    """What an ask will come to: a value or an error.

    ``await reply`` gives it. Cancelling the awaiter, or `cancel`, gives the message up: it is skipped if it has not
    started, else it runs to its end unheard. Several awaiters share that fate; shield all but one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:  # two objects a reply for hooks we do not have
        self.future: asyncio.Future[T] = asyncio.Future(loop=loop)

    def __repr__(self) -> str:
        return f"<Reply {'done' if self.future.done() else 'pending'}>"

    def __await__(self) -> Generator[Any, None, T]:
        return self.future.__await__()

    __iter__ = __await__

    def done(self) -> bool:
        """True once there is a value or an error, or the reply was cancelled."""
        return self.future.done()

    def cancel(self) -> bool:
        """Give the message up; False when the reply is already there. On the loop's thread only."""
        return self.future.cancel()

    def get(self, *, timeout: float | None = None) -> T:
        """Block this thread until the reply is there. Never on the loop's own thread: there it is awaited.

        Raises:
            pykka.Timeout: ``timeout`` seconds passed first.
            RuntimeError: Called where it could only wait for itself: on the loop's thread, or with the loop at rest.
        """
        if not self.future.done():
            self._wait(timeout)
        if self.future.cancelled():
            raise AbortedError("The reply was given up.")
        return self.future.result()

    def _wait(self, timeout: float | None) -> None:
        loop = self.future.get_loop()
        if not loop.is_running() or _running_loop() is loop:
            raise RuntimeError("Reply.get() blocks: await the reply instead, or call it from another thread.")
        landed: ThreadFuture[None] = ThreadFuture()
        loop.call_soon_threadsafe(self._when_done, lambda: landed.set_result(None))
        try:
            landed.result(timeout)
        except TimeoutError:
            raise pykka.Timeout(f"{timeout} seconds") from None

    def _when_done(self, action: Callable[[], None]) -> None:
        self.future.add_done_callback(lambda _: action())

    def set(self, value: T | None = None) -> None:
        """Settle with ``value``; nothing happens when it is settled already."""
        if not self.future.done():
            self.future.set_result(cast("T", value))

    def set_exception(self, exc_info: "OptExcInfo | BaseException | None" = None) -> None:
        """Settle with an error (or pykka's three-tuple of one); nothing happens when it is settled already."""
        if self.future.done():
            return
        error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
        self.future.set_exception(error if error is not None else InternalError())
        self.future.exception()  # seen: a reply nobody awaits is no programming error

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Not supported: a hook blocks its caller."""
        raise NotImplementedError("Replies are awaited; use map(), filter(), join() or reduce().")

    def map(self, func: Callable[[T], R]) -> "Reply[R]":
        """A reply with ``func(value)``."""
        return _combined([self], lambda values: func(values[0]))

    def filter(self: "Reply[Iterable[J]]", func: Callable[[J], bool]) -> "Reply[Iterable[J]]":
        """A reply with the items that pass ``func``."""
        return _combined([self], lambda values: [item for item in values[0] if func(item)])

    def join(self: "Reply[Any]", *futures: pykka.Future[Any]) -> "Reply[Iterable[Any]]":
        """A reply with the list of all values, in the order given. Only replies can be joined."""
        replies = [future for future in (self, *futures) if isinstance(future, Reply)]
        if len(replies) != 1 + len(futures):
            raise TypeError("Only the replies of actor systems can be joined.")
        return _combined(replies, lambda values: values)

    def reduce(self: "Reply[Iterable[J]]", func: Callable[[R, J], R], *args: R) -> "Reply[R]":
        """A reply with the items folded by ``func``."""
        return _combined([self], lambda values: functools.reduce(func, values[0], *args))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _combined(sources: "list[Reply[Any]]", combine: Callable[[list[Any]], R]) -> Reply[R]:
    combined: Reply[R] = Reply(sources[0].future.get_loop())
    waiting = len(sources)

    def landed(_: asyncio.Future[Any]) -> None:
        nonlocal waiting
        waiting -= 1
        if waiting:
            return
        try:
            combined.set(combine([source.future.result() for source in sources]))
        except asyncio.CancelledError:
            combined.cancel()
        except Exception as exc:  # noqa: BLE001  # whatever the caller's function raises is the reply
            combined.set_exception(exc)

    for source in sources:
        source.future.add_done_callback(landed)
    return combined
