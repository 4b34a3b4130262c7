"""Shared by the runtime's tests: virtual time, and a runtime with one agent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from flue_actors.definition.agent import CreatedAgent
from flue_actors.definition.settings import Settings
from flue_actors.events import Event
from flue_actors.refs import LocalSessionRef
from flue_actors.runtime import Runtime
from flue_actors.storage import Store
from flue_actors.testing import in_virtual_time

virtual_time = in_virtual_time
"""Run an async test on a loop whose clock jumps."""


@asynccontextmanager
async def running(
    agent: CreatedAgent, *, store: Store | None = None, settings: Settings | None = None
) -> AsyncIterator[Runtime]:
    """A started runtime with this agent as ``agent``."""
    async with Runtime({"agent": agent}, store=store, settings=settings) as runtime:
        yield runtime


async def watch(ref: LocalSessionRef, message: str) -> list[Event]:
    """Every event of one prompt."""
    return [event async for event in ref.stream(message)]


def kinds(events: list[Event]) -> list[str]:
    """The wire names of the events, repeats of a delta folded."""
    names = [type(event).__struct_config__.tag for event in events]
    return [str(name) for place, name in enumerate(names) if place == 0 or names[place - 1] != name]
