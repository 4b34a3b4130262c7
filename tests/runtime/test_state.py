"""``context.state``: what a call writes is stored with its result, or not at all."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from flue_actors import ToolContext, create_agent, define_agent_profile, tool
from flue_actors.errors import StoreUnavailableError, ToolError
from flue_actors.ids import AgentKey
from flue_actors.instances.state import LARGEST, CallState, InstanceState
from flue_actors.memory import memory_store
from flue_actors.sandboxes.protocol import SandboxContext
from flue_actors.storage import Fence, Store
from flue_actors.store.sqlite_store import sqlite
from flue_actors.testing import FunctionModel
from tests.runtime.machine import Machine, machine
from tests.runtime.models import InThreads, by_message, call, each_in_turn, once
from tests.runtime.support import virtual_time
from tests.runtime.test_sandbox_life import House, Shelf


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return memory_store() if request.param == "memory" else cast("Store", InThreads(sqlite(tmp_path / "flue.db")))


@tool
async def put(name: str, value: Any, ctx: ToolContext, seconds: float = 0, fail: bool = False) -> str:
    """Keep a value."""
    ctx.state[name] = value
    await asyncio.sleep(seconds)
    if fail:
        raise ToolError("no")
    return "kept"


@tool
async def get(ctx: ToolContext) -> dict[str, Any]:
    """What is kept."""
    return dict(sorted(ctx.state.items()))


@tool
async def drop(name: str, ctx: ToolContext) -> str:
    """Forget a value."""
    del ctx.state[name]
    return "dropped"


def agent(model: FunctionModel, **fields: Any) -> Any:
    return create_agent(model=model, instructions="", tools=[put, get, drop], **fields)


@asynccontextmanager
async def at(store: Store, made: Any) -> AsyncGenerator[Machine]:
    async with machine(made) as one:
        one.store = store
        yield one


@virtual_time
async def test_what_one_call_writes_later_ones_see_in_every_session_and_after_a_restart(store: Store) -> None:
    model = FunctionModel(
        by_message(put=call("put", name="a", value=[1]), get=call("get"), drop=call("drop", name="a"))
    )
    async with at(store, agent(model)) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.prompt("put")
        assert (await ref.session("other").prompt("get")).text == '{"a":[1]}'
        assert (await one.ref("agent", "u2").prompt("get")).text == "{}"
        await one.evict(ref)
        assert (await ref.prompt("get")).text == '{"a":[1]}'
        ref = (await one.restart()).ref("agent", "u1")
        assert (await ref.prompt("get")).text == '{"a":[1]}'
        await ref.prompt("drop")
        ref = (await one.restart()).ref("agent", "u1")
        assert (await ref.prompt("get")).text == "{}"


@virtual_time
async def test_what_a_call_that_fails_wrote_is_dropped(store: Store) -> None:
    model = each_in_turn(call("put", "1", name="a", value=1, fail=True), call("get", "2"))
    async with at(store, agent(model)) as one:
        ref = (await one.start()).ref("agent", "u1")
        assert (await ref.prompt("go")).text == "no | {}"


@virtual_time
async def test_what_a_call_that_was_cut_off_wrote_is_dropped(store: Store) -> None:
    model = FunctionModel(by_message(put=call("put", name="a", value=1, seconds=50), get=call("get")))
    async with at(store, agent(model)) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.submit("put")
        await asyncio.sleep(1)
        await ref.abort()
        assert (await ref.prompt("get")).text == "{}"
        pending = await ref.submit("put")
        await asyncio.sleep(1)
        ref = (await one.restart()).ref("agent", "u1")
        await ref.wait(pending.submission_id)
        assert (await ref.prompt("get")).text == "{}"


@virtual_time
async def test_calls_side_by_side_do_not_see_each_other_and_both_are_kept(store: Store) -> None:
    both = (
        call("put", "1", name="a", value=1, seconds=1),
        call("put", "2", name="b", value=2, seconds=0.5),
        call("get", "3"),
    )
    model = FunctionModel(by_message(go=both, get=call("get")))
    async with at(store, agent(model)) as one:
        ref = (await one.start()).ref("agent", "u1")
        assert (await ref.prompt("go")).text == "kept | kept | {}"
        assert (await ref.prompt("get")).text == '{"a":1,"b":2}'
        ref = (await one.restart()).ref("agent", "u1")
        assert (await ref.prompt("get")).text == '{"a":1,"b":2}'


class SlowToStore(Shelf):
    """A sandbox whose snapshot takes ten seconds."""

    async def snapshot(self) -> bytes | None:
        await asyncio.sleep(10)
        return await super().snapshot()


class SlowHouse(House):
    async def open(self, context: SandboxContext) -> Shelf:
        return SlowToStore(self, {})


@virtual_time
async def test_what_a_call_wrote_that_was_cut_off_behind_its_end_is_dropped() -> None:
    @tool
    async def note(ctx: ToolContext) -> str:
        """Keep something in both places."""
        ctx.state["a"] = 1
        await ctx.sandbox.write("/a", b"1")
        return "kept"

    model = FunctionModel(by_message(note=call("note"), get=call("get")))
    made = create_agent(model=model, instructions="", tools=[note, get], sandbox=SlowHouse(stored=False))
    async with machine(made) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.submit("note")
        await asyncio.sleep(5)
        await ref.abort()
        assert (await ref.prompt("get")).text == "{}"


async def written(state: InstanceState, store: Store, fence: Fence, seen: CallState, **values: int) -> None:
    """What a call does at its end."""
    seen.update(values)
    ops = seen.writes()
    with state.writing():
        await asyncio.sleep(1)
        await store.commit(fence, *ops)


@virtual_time
async def test_what_was_read_anew_is_what_is_stored_whoever_writes_meanwhile() -> None:
    store = memory_store()
    fence = await store.open()
    state = InstanceState(store, AgentKey("agent", "u1"))
    one, other = await state.of_call(), await state.of_call()
    await written(state, store, fence, one, a=1)
    state.forget()  # as when a third one's write is refused
    writing = asyncio.ensure_future(written(state, store, fence, other, b=2))
    await asyncio.sleep(0)
    assert dict(await state.of_call()) == {"a": 1, "b": 2}
    assert await state.decoded() == {"a": 1, "b": 2}
    await writing


@virtual_time
async def test_a_task_shares_the_state_of_its_instance() -> None:
    worker = define_agent_profile(name="worker", description="Works.", instructions="", tools=[put])
    said = by_message(
        go=call("task", agent="worker", prompt="put"), put=call("put", name="a", value=1), get=call("get")
    )
    async with machine(agent(FunctionModel(said), subagents=[worker])) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.prompt("go")
        assert (await ref.prompt("get")).text == '{"a":1}'


@virtual_time
async def test_what_is_no_json_is_an_error_of_that_call() -> None:
    @tool
    async def odd(ctx: ToolContext) -> str:
        """Keep what cannot be kept."""
        ctx.state["a"] = object()
        return "kept"

    async with machine(create_agent(model=once(call("odd")), instructions="", tools=[odd])) as one:
        ref = (await one.start()).ref("agent", "u1")
        assert "cannot be written as JSON" in (await ref.prompt("go")).text


@virtual_time
@pytest.mark.parametrize("name", ["\ud800", "x" * 513, "ä" * 257, 1])
async def test_a_name_that_no_store_takes_is_an_error_of_that_call(name: Any, store: Store) -> None:
    @tool
    async def odd(ctx: ToolContext) -> str:
        """Keep something under no name."""
        ctx.state[name] = 1
        return "kept"

    made = create_agent(model=each_in_turn(call("odd", "1"), call("get", "2")), instructions="", tools=[odd, get])
    async with at(store, made) as one:
        ref = (await one.start()).ref("agent", "u1")
        assert (await ref.prompt("go")).text == ("A name in the state is a text of at most 512 bytes in UTF-8. | {}")


@virtual_time
async def test_a_value_that_is_too_large_is_an_error_of_that_call() -> None:
    @tool
    async def much(ctx: ToolContext) -> str:
        """Keep more than one value may be, and as much as one may."""
        ctx.state["a"] = "x" * (LARGEST - 2)
        ctx.state["b"] = "x" * (LARGEST - 1)
        return "kept"

    async with machine(create_agent(model=once(call("much")), instructions="", tools=[much])) as one:
        ref = (await one.start()).ref("agent", "u1")
        assert (await ref.prompt("go")).text == 'state["b"] is larger than 1024 KiB.'


@virtual_time
async def test_an_instance_keeps_so_much_and_no_more_until_something_is_dropped() -> None:
    @tool
    async def fill(ctx: ToolContext) -> str:
        """Keep as many values of half a MiB as there is room for."""
        with suppress(ToolError):
            for number in range(100):
                ctx.state[str(number)] = "x" * (512 * 1024)
        return str(len(ctx.state))

    @tool
    async def again(ctx: ToolContext) -> str:
        """Put another value in the place of one, and one in the place of one that is dropped."""
        ctx.state["0"] = "y" * (512 * 1024)
        del ctx.state["1"]
        ctx.state["a"] = "z" * (512 * 1024)
        return str(len(ctx.state))

    calls = (call("fill", "1"), call("again", "2"), call("put", "3", name="b", value="x" * (512 * 1024)))
    made = create_agent(model=each_in_turn(*calls), instructions="", tools=[fill, again, put])
    async with machine(made) as one:
        ref = (await one.start()).ref("agent", "u1")
        filled, replaced, refused = (await ref.prompt("go")).text.split(" | ")
        assert (filled, replaced) == ("7", "7")
        assert refused == 'With state["b"] the state is larger than 4096 KiB: delete something first.'


def putting() -> Any:
    return agent(FunctionModel(by_message(go=call("put", name="a", value=1), get=call("get"))))


async def commits() -> int:
    """How many it takes to put a value."""
    async with machine(putting()) as one:
        await (await one.start()).ref("agent", "u1").prompt("go")
        assert one.process is not None
        return one.process.commits


@virtual_time
async def test_a_process_that_dies_behind_any_commit_has_the_result_and_what_was_written_or_neither() -> None:
    for number in range(1, await commits() + 1):
        async with machine(putting()) as one:
            ref = (await one.start(dies_after=number)).ref("agent", "u1")
            asking = asyncio.ensure_future(ref.prompt("go", idempotency_key="k"))
            await asyncio.wait([asking], timeout=50)
            ref = (await one.restart()).ref("agent", "u1")
            answer = await ref.prompt("go", idempotency_key="k")
            kept = (await ref.prompt("get")).text
            assert (answer.text == "kept") == (kept == '{"a":1}'), (number, answer.text, kept)


@virtual_time
async def test_a_write_that_the_disk_had_no_room_for_at_first_is_kept_once() -> None:
    for how in ("fails_at", "kept_at"):
        for number in range(1, await commits() + 1):
            async with machine(putting()) as one:
                await one.start(**cast("Any", {how: frozenset({number})}))
                ref = one.ref("agent", "u1")
                for _ in range(3):  # who sends it is told when there was no room, and tries again
                    with suppress(StoreUnavailableError):
                        assert (await ref.prompt("go", idempotency_key="k")).text == "kept"
                        break
                    await asyncio.sleep(1)
                assert (await ref.prompt("get")).text == '{"a":1}'
