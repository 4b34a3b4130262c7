"""Actors and clocks for the tests of this room."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from flue_actors.actors import Actor, ActorLimits, ActorRef, ActorSystem, Address, DropReason, LeaveReason
from flue_actors.testing.virtual_time import run_virtual


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in virtual time."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        run_virtual(lambda: test(*args, **kwargs))

    return run


def now() -> float:
    return asyncio.get_running_loop().time()


class Doer(Actor):
    """Does what the message, a function of the actor, says; any other message is echoed. Keeps a journal."""

    journal: list[Any]

    async def on_receive(self, message: Any) -> Any:
        if not callable(message):
            return message
        result = message(self)
        return await result if hasattr(result, "__await__") else result


class Journal(Doer):
    """A Doer that writes its comings and goings into a shared list."""

    def __init__(self, lines: list[Any]) -> None:
        super().__init__()
        self.lines = lines

    async def on_start(self) -> None:
        self.lines.append(("start", self.context.epoch))

    async def on_stop(self, reason: LeaveReason) -> None:
        self.lines.append(("stop", reason))


class World:
    """A system of Doers, with what it dropped."""

    def __init__(self, system: ActorSystem) -> None:
        self.system = system
        self.dropped: list[tuple[str, Any, DropReason]] = []

    def register(self, kind: str, factory: Callable[[Address], Actor], **options: Any) -> None:
        self.system.register(kind, factory, undelivered=self._undelivered, **options)

    def _undelivered(self, address: Address, message: Any, reason: DropReason) -> None:
        self.dropped.append((address.id, message, reason))

    def ref(self, id: str = "a", kind: str = "doer") -> ActorRef:
        return self.system.ref(kind, id)

    @property
    def reasons(self) -> list[DropReason]:
        return [reason for _, _, reason in self.dropped]


@asynccontextmanager
async def world(factory: Callable[[Address], Actor] | None = None, **limits: Any):
    """A started world whose kind "doer" is built by ``factory``."""
    async with ActorSystem(limits=ActorLimits(**limits)) as system:
        made = World(system)
        made.register("doer", factory or (lambda _: Doer()))
        yield made


def sleep(seconds: float, value: Any = None) -> Callable[[Actor], Any]:
    """A message that takes ``seconds``."""
    return lambda _: asyncio.sleep(seconds, value)


def hang(actor: Actor) -> Any:
    """A message that ignores every cancellation, for 1,000 s."""

    async def stuck() -> str:
        end = now() + 1_000
        while now() < end:
            try:
                await asyncio.sleep(end - now())
            except asyncio.CancelledError:
                continue
        return "late"

    return stuck()


def ask(ref: ActorRef, message: Any, **options: Any) -> Callable[[Actor], Any]:
    """A message that asks another actor and returns the answer."""

    async def asking(_: Actor) -> Any:
        return await ref.ask(message, **options)

    return asking
