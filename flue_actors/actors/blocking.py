"""A bounded pool of threads for calls that block: pykka threading actors, each serving one call at a time."""

import asyncio
import contextlib
import contextvars
import functools
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, cast

import pykka

from flue_actors.actors.limits import ActorLimits
from flue_actors.actors.statistics import BlockingStatistics
from flue_actors.errors import DeadlineExceededError, InternalError, OverloadedError

T = TypeVar("T")

log = logging.getLogger(__name__)


class _Call:
    """One call on its way through a host."""

    __slots__ = ("abandoned", "context", "function", "future", "host", "pool")

    def __init__(self, pool: "BlockingPool", host: "pykka.ActorRef[BlockingHost]", function: Callable[[], Any]) -> None:
        self.pool = pool
        self.host = host
        self.function = function
        self.context = contextvars.copy_context()
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.abandoned = False


class BlockingHost(pykka.ThreadingActor):
    """A thread of the pool. Daemonic: a call that never returns must not keep the process alive."""

    use_daemon_thread = True

    def on_receive(self, message: _Call) -> None:
        """Run the call in its own context and hand the outcome to the loop."""
        value, error = None, None
        try:
            value = message.context.run(message.function)
        except BaseException as exc:  # noqa: BLE001  # pykka would stop every actor of the process
            error = exc
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            message.future.get_loop().call_soon_threadsafe(message.pool.landed, message, value, error)


class BlockingPool:
    """At most ``limits.blocking_hosts`` threads in service. A call past its deadline is left behind with its thread,
    which ends when the call returns; a fresh one takes its place.
    """

    def __init__(self, limits: ActorLimits) -> None:
        self._limits = limits
        self._idle: list[pykka.ActorRef[BlockingHost]] = []
        self._waiting: deque[asyncio.Future[pykka.ActorRef[BlockingHost]]] = deque()
        self._hosts = 0
        self._abandoned = 0
        self._abandoned_total = 0
        self._calls = 0
        self._closed = False

    async def run(self, fn: Callable[..., T], *args: Any, timeout: float | None = None, **kwargs: Any) -> T:
        """Call ``fn`` on a thread, in a copy of the caller's context, and return or raise what it does.

        Args:
            timeout: Seconds for waiting and running together; None waits for ever.

        Raises:
            DeadlineExceededError: ``timeout`` passed; the call may still be running.
            OverloadedError: Too many calls wait, or too many were left behind.
        """
        loop = asyncio.get_running_loop()
        limit = None if timeout is None else loop.time() + timeout
        call = _Call(self, await self._acquire(limit), functools.partial(fn, *args, **kwargs))
        self._calls += 1
        call.host.tell(call)
        try:
            await asyncio.wait([call.future], timeout=_left(limit))
        except asyncio.CancelledError:
            # The thread cannot be stopped; it serves on if the call returns soon.
            grace = self._limits.cancel_grace
            loop.call_later(grace if limit is None else min(grace, limit - loop.time()), self._abandon, call)
            raise
        if not call.future.done():
            self._abandon(call)
            raise DeadlineExceededError("The call did not return in time.")
        return cast("T", call.future.result())

    async def _acquire(self, limit: float | None) -> "pykka.ActorRef[BlockingHost]":
        while self._idle:
            host = self._idle.pop()
            if host.is_alive():
                return host
            self._hosts -= 1  # somebody called pykka.ActorRegistry.stop_all()
        if self._hosts < self._limits.blocking_hosts:
            return self._new_host()
        if len(self._waiting) >= self._limits.blocking_queue:
            raise OverloadedError("Too many blocking calls wait for a thread.")
        turn: asyncio.Future[pykka.ActorRef[BlockingHost]] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait([turn], timeout=_left(limit))
        except asyncio.CancelledError:
            self._give_back(turn)
            raise
        if not turn.done():
            self._give_back(turn)
            raise DeadlineExceededError("No thread was free in time.")
        return turn.result()

    def _give_back(self, turn: "asyncio.Future[pykka.ActorRef[BlockingHost]]") -> None:
        if turn.done() and turn.exception() is None:
            self._release(turn.result())
        else:
            self._waiting.remove(turn)

    def _new_host(self) -> "pykka.ActorRef[BlockingHost]":
        if self._abandoned >= self._limits.blocking_abandoned:
            raise OverloadedError("Too many blocking calls never returned.")
        self._hosts += 1
        return BlockingHost.start()

    def _release(self, host: "pykka.ActorRef[BlockingHost]") -> None:
        if self._waiting:
            self._waiting.popleft().set_result(host)
        elif self._closed:
            self._hosts -= 1
            host.stop(block=False)
        else:
            self._idle.append(host)

    def landed(self, call: _Call, value: Any, error: BaseException | None) -> None:
        """A call returned; on the loop."""
        if call.abandoned:
            self._abandoned -= 1
            call.host.stop(block=False)
        else:
            self._release(call.host)
        _settle(call.future, value, error)

    def _abandon(self, call: _Call) -> None:
        if call.future.done() or call.abandoned:
            return
        call.abandoned = True
        self._abandoned += 1
        self._abandoned_total += 1
        self._hosts -= 1
        log.warning("A blocking call did not return in time; its thread was left behind")
        if self._waiting:
            self._replace_for(self._waiting.popleft())

    def _replace_for(self, turn: "asyncio.Future[pykka.ActorRef[BlockingHost]]") -> None:
        try:
            turn.set_result(self._new_host())
        except OverloadedError as exc:
            turn.set_exception(exc)

    def close(self) -> None:
        """End every idle thread; the others end with their calls."""
        self._closed = True
        while self._idle:
            self._idle.pop().stop(block=False)

    def statistics(self) -> BlockingStatistics:
        """Counters for `ActorSystem.snapshot`."""
        return BlockingStatistics(
            hosts=self._hosts,
            idle=len(self._idle),
            waiting=len(self._waiting),
            abandoned=self._abandoned,
            abandoned_total=self._abandoned_total,
            calls=self._calls,
        )


def _left(limit: float | None) -> float | None:
    return None if limit is None else max(0.0, limit - asyncio.get_running_loop().time())


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if error is None:
        future.set_result(value)
        return
    if not isinstance(error, Exception) or isinstance(error, StopIteration):
        stopped = InternalError("The call was stopped from inside.", dev=repr(error))
        stopped.__cause__ = error
        error = stopped
    future.set_exception(error)
    future.exception()  # seen: the caller may be gone
