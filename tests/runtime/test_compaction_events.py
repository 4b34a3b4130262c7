"""What a summary shows: the event of one that is stored, whatever happens around it, and a place for each event."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import pytest

from flue_actors.definition.fields import Durability
from flue_actors.definition.settings import Settings
from flue_actors.errors import StoreUnavailableError
from flue_actors.events import CompactionEnd, Event
from flue_actors.places import place_of
from flue_actors.storage import Append, Committed, Fence, Op, Store, WriteJournal
from tests.runtime.long_histories import LONG, Model, agent, start
from tests.runtime.machine import kinds_stored, machine
from tests.runtime.models import by_message
from tests.runtime.support import virtual_time


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


class Around:
    """A store whose commits of what ``chosen`` picks are made in another way."""

    def __init__(
        self,
        store: Store,
        chosen: Callable[[Op], bool],
        how: Callable[[Callable[[], Any]], "asyncio.Future[Committed]"],
    ) -> None:
        self._store = store
        self._chosen = chosen
        self._how = how

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, fence: Fence, *ops: Op) -> "asyncio.Future[Committed]":
        def made() -> "asyncio.Future[Committed]":
            return self._store.commit(fence, *ops)

        return self._how(made) if any(map(self._chosen, ops)) else made()


def holds_a_summary(op: Op) -> bool:
    return isinstance(op, Append) and any(entry.kind == "compaction" for entry in op.entries)


async def follow(ref: Any, seen: list[Event]) -> None:
    async for event in ref.session("default").events(after="0-0"):
        seen.append(event)


@virtual_time
async def test_a_summary_that_is_stored_when_its_input_runs_out_of_time_is_shown() -> None:
    async def late(made: Callable[[], Any]) -> Committed:
        committed = await made()
        await asyncio.sleep(60)
        return committed

    model, seen = Model(by_message(**{LONG: LONG})), list[Event]()
    async with machine(agent(durability=Durability(timeout=30))) as one:
        around = Around(one.store, holds_a_summary, lambda made: asyncio.ensure_future(late(made)))
        one.store = cast("Store", around)
        ref = await start(one, model)
        following = asyncio.ensure_future(follow(ref, seen))
        while not model.summaries:
            await ref.prompt(LONG)
            await asyncio.sleep(1)
        await asyncio.sleep(100)
        assert "compaction" in await kinds_stored(one.store)
        assert any(isinstance(each, CompactionEnd) for each in seen)
        following.cancel()


@virtual_time
async def test_a_piece_of_a_reply_that_was_refused_hides_no_summary_behind_it() -> None:
    refused: list[Callable[[], Any]] = []

    def first_refused(made: Callable[[], Any]) -> "asyncio.Future[Committed]":
        if refused:
            return made()
        refused.append(made)
        failed: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        failed.set_exception(StoreUnavailableError())
        failed.exception()
        return failed

    long = "word " * 2500  # journaled while it is streamed
    model, seen = Model(by_message(**{LONG: long})), list[Event]()
    async with machine(agent()) as one:
        one.store = cast("Store", Around(one.store, lambda op: isinstance(op, WriteJournal), first_refused))
        ref = await start(one, model)
        following = asyncio.ensure_future(follow(ref, seen))
        assert (await ref.prompt(LONG)).text == long  # nobody is told that the store cannot be used
        await asyncio.sleep(1)
        assert refused
        assert "compaction" in await kinds_stored(one.store)
        assert any(isinstance(each, CompactionEnd) for each in seen)
        following.cancel()


@virtual_time
@pytest.mark.parametrize("followed", [True, False])
async def test_no_offset_is_used_twice_behind_a_summary_that_failed(followed: bool) -> None:
    model, seen = Model(by_message(**{LONG: LONG}), summaries=0), list[Event]()
    settings = Settings(passivate_after=10)
    async with machine(agent(), settings, before=lambda runtime: runtime.observe(seen.append)) as one:
        ref = await start(one, model)
        following = asyncio.ensure_future(follow(ref, [])) if followed else None
        while not model.summaries:
            await ref.prompt(LONG)
        await asyncio.sleep(100)  # nothing is under way, and the conversation is read anew
        if following is not None:
            following.cancel()
            await asyncio.sleep(1)
        assert not await ref.compact()
        places = [place for each in seen if (place := place_of(each.offset)) is not None]
    assert places == sorted(set(places))
