"""One outcome: what the caller is told, what the row says and what the feed ends with are the same, whatever hits when."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from flue_actors import AgentConfig, AgentContext, Durability, create_agent, memory_store, tool
from flue_actors.agent_ref import Submitted
from flue_actors.agents.settling import settle_unworked
from flue_actors.clock import SystemClock
from flue_actors.definition.settings import Settings
from flue_actors.equipping import Equipment
from flue_actors.errors import DeadlineExceededError, FlueError, InternalError
from flue_actors.events import (
    ErrorEvent,
    Event,
    Idle,
    MessageEnd,
    MessageStart,
    ModelName,
    Operation,
    PromptResult,
    ToolCallEnd,
)
from flue_actors.ids import AgentKey, Ids
from flue_actors.messages import AssistantMessage, TextContent, ToolCall, ToolResultMessage, Usage
from flue_actors.models.protocol import ModelEvent, ModelRequest, ReplyDone, TextDelta
from flue_actors.models.registry import ModelRegistry
from flue_actors.observing import Observers
from flue_actors.runtime import Runtime
from flue_actors.services import Services
from flue_actors.storage import Admit, Claim, Committed, Fence, Op, Settle, Store, Submission
from flue_actors.submissions import LiveInstances, Pending
from flue_actors.testing import FunctionModel, ScriptedModel
from tests.runtime.models import by_message, call
from tests.runtime.support import virtual_time

DELAY = 0.3


class SlowStore:
    """A memory store whose commits take `DELAY` seconds each, in order."""

    def __init__(self) -> None:
        self._store = memory_store()
        self._busy: asyncio.Future[Any] | None = None

    def commit(self, fence: Fence, *ops: Op) -> "asyncio.Future[Committed]":
        done: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        self._busy = asyncio.ensure_future(self._apply(self._busy, done, fence, ops))
        return done

    async def _apply(self, before: Any, done: "asyncio.Future[Committed]", fence: Fence, ops: Any) -> None:
        if before is not None:
            await before
        await asyncio.sleep(DELAY)
        outcome = self._store.commit(fence, *ops)
        if done.cancelled():
            return
        if (error := outcome.exception()) is not None:
            done.set_exception(error)
            done.exception()
        else:
            done.set_result(outcome.result())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def slow_answer(_: ModelRequest) -> AsyncIterator[ModelEvent]:
    for letter in "abc":
        await asyncio.sleep(0.25)
        yield TextDelta(letter)
    yield ReplyDone(content=(TextContent(text="abc"),), stop_reason="stop", usage=Usage())


@tool
async def nap() -> str:
    """Sleep."""
    await asyncio.sleep(0.5)
    return "rested"


async def everybody_says_the_same(*, hit_after: float | None = None, timeout: float = 1000) -> None:
    """One prompt with a tool; the runtime stops at ``hit_after``, or the input's budget ends."""
    store: Any = SlowStore()
    model = ScriptedModel([ToolCall(id="1", name="nap", arguments={}), slow_answer])
    agent = create_agent(model=model, instructions="", tools=[nap], durability=Durability(timeout=timeout))
    runtime = Runtime({"agent": agent}, store=store, settings=Settings(drain_timeout=0))
    await runtime.start()
    pending = await runtime.ref("agent", "u1").submit("go", watch=True)
    watching = asyncio.ensure_future(all_events(pending))
    if hit_after is not None:
        await asyncio.sleep(hit_after)
        await runtime.stop()
    try:
        told = (await pending.result()).text
    except FlueError as error:
        told = error.type
    events = await asyncio.wait_for(watching, 10)
    await runtime.stop()
    await store.open()
    row = await store.submission(pending.submission_id)
    if hit_after is not None and row.status != "settled":
        assert (row.status, told) == ("queued", "interrupted")
        assert isinstance(events[-1], ErrorEvent)
        return
    assert row.status == "settled"
    assert told == (msgspec.json.decode(row.result)["text"] if row.result else msgspec.json.decode(row.error)["type"])
    assert isinstance(events[-1], Idle if row.outcome == "completed" else ErrorEvent)
    if row.outcome == "completed":
        assert any(isinstance(event, Operation) and event.result for event in events)


async def all_events(pending: Submitted) -> list[Event]:
    return [event async for batch in pending.feed.batches() for event in batch]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@virtual_time
async def test_an_input_whose_budget_ends_at_any_moment_has_one_outcome() -> None:
    for tenth in range(1, 35):
        await everybody_says_the_same(timeout=tenth / 10)


@virtual_time
async def test_an_input_that_a_stop_hits_at_any_moment_has_one_outcome() -> None:
    for tenth in range(1, 35):
        await everybody_says_the_same(hit_after=tenth / 10)


@virtual_time
async def test_who_comes_after_a_fenced_attempt_waits_for_its_last_write() -> None:
    @tool
    async def lingering() -> str:
        """Need most of the grace to end."""
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1 - DELAY / 2)
        return "never"

    store: Any = SlowStore()
    model = ScriptedModel([ToolCall(id="1", name="lingering", arguments={}), "next"])
    agent = create_agent(model=model, instructions="", tools=[lingering], durability=Durability(timeout=5))
    async with Runtime({"agent": agent}, store=store, settings=Settings(cancel_grace=1)) as runtime:
        ref = runtime.ref("agent", "u1")
        first = await ref.submit("go")
        second = await ref.submit("and then")
        with pytest.raises(DeadlineExceededError):
            await first.result()
        assert (await second.result()).text == "next"
        assert runtime.snapshot().actors.fenced == 1


def submission(id: str) -> Submission:
    return Submission(
        id=id,
        key=AgentKey("agent", "u1"),
        session="default",
        kind="direct",
        payload=b'{"kind":"prompt","message":"hi"}',
        accepted_at=1,
    )


def refuse() -> Any:
    raise AssertionError


async def services_of(store: Store) -> Services:
    return Services(
        store=store,
        fence=await store.open(),
        models=ModelRegistry(),
        settings=Settings(),
        observers=Observers(),
        clock=SystemClock(),
        ids=Ids(),
        rng=random.Random(),
        run_blocking=asyncio.to_thread,
        stopping=lambda: False,
        shared_texts=set(),
        equipment=Equipment(),
        inside=refuse,
    )


class MovingStore:
    """A memory store in which a fenced attempt makes one more write behind every look at its row."""

    def __init__(self, *moves: Op) -> None:
        self._store = memory_store()
        self.moves = list(moves)
        self.fence = Fence()

    async def submission(self, submission_id: str) -> Submission | None:
        row = await self._store.submission(submission_id)
        if self.moves:
            await self._store.commit(self.fence, self.moves.pop(0))
        return row

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_an_attempt_that_goes_on_while_it_is_settled_elsewhere_does_not_change_what_is_said() -> None:
    result = PromptResult(text="done after all", usage=Usage(), model=ModelName("scripted", "x"))
    store: Any = MovingStore(
        Claim(submission_id="sub_1", attempt=1, at=2),
        Settle(submission_id="sub_1", attempt=1, outcome="completed", at=3, result=msgspec.json.encode(result)),
    )
    services = await services_of(store)
    store.fence = services.fence
    pending = Pending(submission("sub_1"), LiveInstances(), principal=None, watch=True)
    await store.commit(services.fence, Admit(pending.submission))
    await settle_unworked(services, pending, InternalError())
    assert (await pending.result()).text == "done after all"
    assert [type(event) for event in pending.feed.take()] == [Idle]


async def test_giving_up_an_outcome_leaves_nothing_under_way() -> None:
    instances = LiveInstances()
    pending = Pending(submission("sub_1"), instances, principal=None, watch=False)
    pending.outcome.cancel()
    pending.fail(InternalError())
    assert (instances.pending, len(instances)) == (0, 0)


async def test_what_joined_a_turn_that_goes_on_is_not_left_alone_by_a_stop() -> None:
    instances = LiveInstances()
    host, joined = [Pending(submission(id), instances, principal=None, watch=False) for id in ("sub_1", "sub_2")]
    joined.submission = msgspec.structs.replace(joined.submission, host="sub_1")
    for each in (host, joined):
        each.suspend()
    assert instances.left_alone() == [host, joined]
    host.suspended = False  # its next attempt begins; who joined is told with it
    assert instances.left_alone() == []


@virtual_time
async def test_a_message_waits_while_its_actor_pauses_after_failures() -> None:
    @tool
    async def stubborn() -> str:
        """Ignore that it is to end."""
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1000)
        await asyncio.sleep(5)
        return "never"

    model = FunctionModel(by_message(go=call("stubborn")))
    agent = create_agent(model=model, instructions="", tools=[stubborn], durability=Durability(timeout=2))
    async with Runtime({"agent": agent}, settings=Settings(cancel_grace=1)) as runtime:
        ref = runtime.ref("agent", "u1")
        broken = [await ref.submit("go") for _ in range(6)]
        waiting = [await ref.submit(str(number)) for number in range(3)]
        ended: list[str] = []
        for each in waiting:
            each.outcome.add_done_callback(lambda outcome: ended.append(outcome.result().text))
        for each in broken:
            with pytest.raises(DeadlineExceededError):
                await each.result()
        assert [(await each.result()).text for each in waiting] == ["0", "1", "2"]
        assert ended == ["0", "1", "2"]


@virtual_time
async def test_a_reply_that_is_cut_off_ends_its_message() -> None:
    agent = create_agent(model="scripted/echo?rate=1&size=1", instructions="", durability=Durability(timeout=3.5))
    async with Runtime({"agent": agent}) as runtime:
        events = [event async for event in runtime.ref("agent", "u1").stream("hello")]
    messages = [event for event in events if isinstance(event, MessageStart | MessageEnd)]
    assert [type(event) for event in messages] == [MessageStart, MessageEnd]
    assert isinstance(messages[1].message, AssistantMessage)
    assert messages[1].message.stop_reason == "aborted"


@virtual_time
async def test_a_tool_that_is_cut_off_ends_for_whoever_watches() -> None:
    @tool
    async def endless() -> str:
        """Never end."""
        await asyncio.Event().wait()
        return "never"

    agent = create_agent(
        model="scripted/echo", instructions="", tools=[endless], durability=Durability(timeout=5), tool_timeout=100
    )
    async with Runtime({"agent": agent}) as runtime:
        ref = runtime.ref("agent", "u1")
        events = [event async for event in ref.stream("call endless {}")]
        history = [entry.message for entry in await ref.history()]
    (ended,) = [event for event in events if isinstance(event, ToolCallEnd)]
    (stored,) = [message for message in history if isinstance(message, ToolResultMessage)]
    assert ended.is_error
    assert ended.result.content == stored.content


async def test_an_input_that_fails_before_it_begins_ends_with_its_outcome_alone() -> None:
    def broken(_: AgentContext) -> AgentConfig:
        raise ValueError("no configuration today")

    async with Runtime({"agent": create_agent(broken)}) as runtime:
        events = [event async for event in runtime.ref("agent", "u1").stream("hello")]
    assert [type(event) for event in events] == [Operation, ErrorEvent]


async def test_two_turns_of_one_session_that_were_cut_off_both_go_on() -> None:
    store = memory_store()
    fence = await store.open()
    for name in ("sub_1", "sub_2"):
        await store.commit(fence, Admit(submission(name)), Claim(submission_id=name, attempt=1, at=2))
    await store.close()
    async with Runtime({"agent": create_agent(model="scripted/echo", instructions="")}, store=store) as runtime:
        ref = runtime.ref("agent", "u1")
        assert [(await ref.wait(name)).text[:5] for name in ("sub_1", "sub_2")] == ["echo:", "echo:"]
        assert await store.unsettled() == []
