"""A store that refuses: nothing is half admitted, the failure has a name, and work goes on once it takes writes again."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from flue_actors import create_agent, memory_store
from flue_actors.errors import StoreUnavailableError
from flue_actors.storage import Admit, Append, Committed, Fence, Op, Settle, Store
from tests.runtime.support import kinds, running, watch

ECHO = create_agent(model="scripted/echo", instructions="Echo.")


class FullStore:
    """A memory store that refuses commits holding an operation of the ``refused`` kind, as a full disk does."""

    def __init__(self) -> None:
        self._store = memory_store()
        self.refused: type[Any] | None = None

    def commit(self, fence: Fence, *ops: Op) -> "asyncio.Future[Committed]":
        if self.refused is None or not any(isinstance(op, self.refused) for op in ops):
            return self._store.commit(fence, *ops)
        failed: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        failed.set_exception(StoreUnavailableError())
        failed.exception()
        return failed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def store(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    caplog.set_level(logging.CRITICAL)
    yield FullStore()


async def test_an_input_that_cannot_be_recorded_is_refused_whole(store: Any) -> None:
    async with running(ECHO, store=store) as runtime:
        store.refused = Admit
        with pytest.raises(StoreUnavailableError):
            await runtime.ref("agent", "u1").prompt("hello")
        assert runtime.snapshot().pending == 0
        store.refused = None
        assert "(1 messages)" in (await runtime.ref("agent", "u1").prompt("hello")).text


@pytest.mark.parametrize("refused", [Append, Settle])
async def test_a_write_refused_in_the_middle_fails_that_input_by_name_and_the_next_one_works(
    store: Any, refused: type[Any]
) -> None:
    async with running(ECHO, store=store) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("before")
        store.refused = refused
        with pytest.raises(StoreUnavailableError):
            await ref.prompt("hello")
        store.refused = None
        answer = await ref.prompt("after")
        # What is in memory is what is stored: the refused input's message is there only if its own write was taken.
        expected = {Append: "(3 messages)", Settle: "(4 messages)"}[refused]
        assert expected in answer.text
        assert (await ref.status()).state == "idle"


async def test_the_feed_of_a_refused_write_ends_with_an_error(store: Store) -> None:
    async with running(ECHO, store=store) as runtime:
        store.refused = Settle  # type: ignore[attr-defined]
        assert kinds(await watch(runtime.ref("agent", "u1"), "hello"))[-1] == "error"
