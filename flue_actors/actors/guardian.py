"""One entry a system in pykka's registry, so that `pykka.ActorRegistry.stop_all(block=False)` stops ours too."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pykka

from flue_actors.actors.actor import Actor
from flue_actors.actors.reply import Reply


class Guardian(pykka.ActorRef[Any]):
    """Stands for a whole system. Its actors have no entries of their own: pykka's registry is a list."""

    def __init__(
        self, name: str, loop: asyncio.AbstractEventLoop, stop: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self.actor_class = Actor
        self.actor_urn = f"flue-system:{name}"
        self._loop = loop
        self._stop = stop
        self._task: asyncio.Task[None] | None = None

    def __str__(self) -> str:
        return self.actor_urn

    def is_alive(self) -> bool:
        """True until the system's stop was asked for."""
        return self._task is None

    def tell(self, message: Any) -> None:
        """Systems take no messages: what is broadcast to every actor of the process does not reach ours."""

    def stop(self, *, block: bool = False, timeout: float | None = None) -> Reply[bool]:  # pyright: ignore[reportIncompatibleMethodOverride]  # block=False by default
        """Have the system stop, draining; from any thread."""
        reply: Reply[bool] = Reply(self._loop)
        self._loop.call_soon_threadsafe(self._begin, reply)
        return reply.get(timeout=timeout) if block else reply  # pyright: ignore[reportReturnType]  # pykka: block returns the value

    def _begin(self, reply: Reply[bool]) -> None:
        if self._task is None:
            self._task = self._loop.create_task(self._stop())
        self._task.add_done_callback(lambda _: reply.set(True))

    def enter(self) -> None:
        """Enter pykka's registry."""
        pykka.ActorRegistry.register(self)

    def leave(self) -> None:
        """Leave it."""
        pykka.ActorRegistry.unregister(self)
