"""A store that refuses: nothing is half admitted, the failure has a name, and work goes on once it takes writes again."""

import asyncio
import logging
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from flue_actors import Durability, create_agent, memory_store, tool
from flue_actors.errors import AbortedError, DeadlineExceededError, InterruptedTurnError, StoreUnavailableError
from flue_actors.messages import ToolCall
from flue_actors.models.protocol import ModelRequest
from flue_actors.storage import Admit, Append, Committed, Fence, Op, Settle, WriteJournal
from flue_actors.testing import FunctionModel, ScriptedModel
from tests.runtime.support import kinds, running, virtual_time, watch

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


@virtual_time
@pytest.mark.parametrize("refused", [Append, Settle])
async def test_who_waits_is_told_at_once_and_the_input_goes_on_when_the_store_does(
    store: Any, refused: type[Any]
) -> None:
    async with running(ECHO, store=store) as runtime:
        ref = runtime.ref("agent", "u1")
        store.refused = refused
        pending = await ref.submit("hello")
        with pytest.raises(StoreUnavailableError):
            await pending.result()
        assert (await ref.status()).state == "running"
        store.refused = None
        assert (await pending.result()).text == "echo: hello (1 messages)"
        assert "(3 messages)" in (await ref.prompt("after")).text


@virtual_time
async def test_an_outcome_that_is_stored_is_told_whatever_was_refused_before_it(store: Any) -> None:
    long = "word " * 2500  # journaled while it is streamed

    async def said(_: ModelRequest) -> str:
        await asyncio.sleep(1)
        return long

    async with running(create_agent(model=FunctionModel(said), instructions=""), store=store) as runtime:
        store.refused = WriteJournal
        pending = await runtime.ref("agent", "u1").submit("hello")
        assert (await pending.result()).text == long


@virtual_time
async def test_a_turn_that_the_store_holds_up_asks_the_model_and_its_tools_once(store: Any) -> None:
    ran: list[str] = []

    @tool
    async def note() -> str:
        """Take a note."""
        ran.append("note")
        store.refused = Append
        asyncio.get_running_loop().call_later(20, heal)
        return "noted"

    def heal() -> None:
        store.refused = None

    model = ScriptedModel([ToolCall(id="1", name="note", arguments={}), "done"])
    async with running(create_agent(model=model, instructions="", tools=[note]), store=store) as runtime:
        seen = await watch(runtime.ref("agent", "u1"), "hello")
    assert kinds(seen)[-1] == "idle"
    assert (ran, len(model.requests)) == (["note"], 2)


@virtual_time
async def test_a_turn_waits_for_the_store_no_longer_than_its_time_budget(store: Any) -> None:
    agent = create_agent(model="scripted/echo", instructions="", durability=Durability(timeout=60))
    async with running(agent, store=store) as runtime:
        store.refused = Append
        pending = await runtime.ref("agent", "u1").submit("hello")
        await asyncio.sleep(100)
        store.refused = None
        with pytest.raises(DeadlineExceededError):
            await runtime.ref("agent", "u1").wait(pending)


@virtual_time
async def test_the_store_is_asked_again_less_and_less_often(store: Any) -> None:
    tries: list[float] = []

    class Counting(FullStore):
        def commit(self, fence: Fence, *ops: Op) -> "asyncio.Future[Committed]":
            if any(isinstance(op, Settle) for op in ops):
                tries.append(asyncio.get_running_loop().time())
            return super().commit(fence, *ops)

    counting: Any = Counting()
    async with running(ECHO, store=counting) as runtime:
        counting.refused = Settle
        pending = await runtime.ref("agent", "u1").submit("hello")
        await asyncio.sleep(20)
        counting.refused = None
        await pending.result()
    pauses = [round(later - earlier, 1) for earlier, later in pairwise(tries)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


@virtual_time
async def test_reads_go_on_while_the_store_takes_no_writes(store: Any) -> None:
    async with running(ECHO, store=store) as runtime:
        ref = runtime.ref("agent", "u1")
        receipt = await ref.dispatch("hello")
        await ref.wait(receipt)
        store.refused = Admit
        with pytest.raises(StoreUnavailableError):
            await ref.dispatch("more")
        assert len(await ref.history()) == 2
        assert (await ref.submission(receipt.submission_id)).outcome == "completed"


@virtual_time
async def test_a_stop_does_not_wait_for_an_outcome_that_the_store_never_takes(store: Any) -> None:
    slow = create_agent(model="scripted/echo?rate=1", instructions="Echo.")
    async with running(slow, store=store) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.submit("hello")
        waiting = await ref.submit("and then?")
        store.refused = Settle
        await ref.abort()
        await asyncio.sleep(1)
        await runtime.stop(0)
        with pytest.raises(InterruptedTurnError):
            await waiting.result()
    store.refused = None
    async with running(slow, store=store) as again:
        with pytest.raises(AbortedError):
            await again.ref("agent", "u1").wait(waiting.submission_id)
