"""Older messages replaced by a summary: when, what the model sees from then on, what it costs, and what failing changes."""

import asyncio
import logging
from contextlib import suppress
from typing import Any, cast

import msgspec
import pytest

from flue_actors import create_agent, define_agent_profile, tool
from flue_actors.definition.limits import Compaction, Limits
from flue_actors.errors import ContextOverflowError, FlueError, InstanceLimitError, ModelError
from flue_actors.events import CompactionEnd, CompactionStart, Event
from flue_actors.memory import memory_store
from flue_actors.messages import Usage, text_of
from flue_actors.models.protocol import ModelRequest
from flue_actors.models.scripted_replies import context_tokens
from flue_actors.storage import Append, Entry, Fence, Op, PutKv, Store
from flue_actors.testing.replies import reply
from tests.faults.validity import history_problems
from tests.runtime.long_histories import LONG, NAME, Model, agent, nap, start
from tests.runtime.machine import U1, Machine, kinds_stored, machine
from tests.runtime.models import by_message, call
from tests.runtime.support import virtual_time


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@tool
async def recite() -> str:
    """Say something long."""
    return LONG


async def whole(one: Machine) -> list[Entry]:
    entries = await one.store.entries(U1, "default")
    assert list(history_problems(entries, [])) == []
    return entries


@virtual_time
async def test_a_history_that_comes_close_to_the_window_is_summarised_behind_the_answer() -> None:
    model, seen = Model(by_message(**{LONG: LONG})), list[Event]()
    async with machine(agent(), before=lambda runtime: runtime.observe(seen.append)) as one:
        ref = await start(one, model)
        while not model.summaries:
            await ref.prompt(LONG)
        assert (await kinds_stored(one.store))[-1] in {"settled", "compaction"}
        await ref.prompt("next")
        shown = [text_of(each) for each in model.asked[-1].messages]
        assert "What was said." in shown[0]
        assert len(shown) < len(await ref.history())
        assert "compaction" in await kinds_stored(one.store)
        await whole(one)
    (begun,) = [each for each in seen if isinstance(each, CompactionStart)]
    (ended,) = [each for each in seen if isinstance(each, CompactionEnd)]
    calls = len(model.summaries)
    assert begun.reason == "threshold"
    assert ended.messages_after < ended.messages_before
    assert not isinstance(ended.usage, msgspec.UnsetType)
    assert (ended.usage.input, ended.usage.output) == (70 * calls, 7 * calls)


@virtual_time
async def test_after_a_restart_the_model_is_shown_the_same_and_nothing_before_it_is_read() -> None:
    model = Model(by_message(**{LONG: LONG}))
    async with machine(agent()) as one:
        store = one.store
        ref = await start(one, model)
        while not model.summaries:
            await ref.prompt(LONG)
        await ref.prompt("one")
        before = [text_of(each) for each in model.asked[-1].messages]
        await one.stop()
        read: list[int] = []

        class Watched:
            def __getattr__(self, name: str) -> Any:
                if name == "entries":

                    async def entries(*args: Any, after: int = 0, **more: Any) -> Any:
                        read.append(after)
                        return await store.entries(*args, after=after, **more)

                    return entries
                return getattr(store, name)

        one.store = Watched()  # pyright: ignore[reportAttributeAccessIssue]  # it is one, but for what it watches
        ref = await start(one, model)
        await ref.prompt("two")
        assert [text_of(each) for each in model.asked[-1].messages] == [*before, "one", "two"]
        assert len(read) == 1
        assert read[0] > 0


@virtual_time
async def test_a_refused_context_is_summarised_and_asked_once_more() -> None:
    def said(request: ModelRequest) -> Any:
        return ContextOverflowError() if len(request.messages) > 4 else by_message()(request)

    model = Model(said)
    async with machine(agent(compaction=False)) as one:
        ref = await start(one, model)
        for _ in range(2):
            await ref.prompt(LONG)
        answer = await ref.prompt("now")
        assert answer.text == "now"
        assert answer.total_usage.input == answer.usage.input + 70 * len(model.summaries) > answer.usage.input
        await whole(one)


@virtual_time
async def test_a_long_turn_may_be_summarised_more_than_once() -> None:
    def said(request: ModelRequest) -> Any:
        if len(request.messages) > 6:
            return ContextOverflowError()
        return "done" if len(model.asked) > 12 else call("recite", f"c{len(model.asked)}")

    model = Model(said)
    async with machine(agent(compaction=False, tools=[recite])) as one:
        ref = await start(one, model)
        assert (await ref.prompt("go")).text == "done"
        assert len(model.summaries) > 1
        await whole(one)


@virtual_time
async def test_a_context_that_is_refused_behind_the_summary_too_is_an_error() -> None:
    model = Model(lambda request: ContextOverflowError() if "now" in text_of(request.messages[-1]) else "ok")
    async with machine(agent()) as one:
        ref = await start(one, model)
        for _ in range(3):
            await ref.prompt(LONG)
        with pytest.raises(ModelError):
            await ref.prompt("now")
        assert len(model.asked) == 5
        await whole(one)


@virtual_time
async def test_somebody_who_asks_for_it_says_what_matters() -> None:
    model = Model()
    async with machine(agent(compaction=Compaction(automatic=False, keep_recent_tokens=100))) as one:
        ref = await start(one, model)
        assert await ref.compact() is False
        for _ in range(3):
            await ref.prompt(LONG)
        pending = asyncio.ensure_future(ref.compact("the names of the cats"))
        assert await pending is True
        assert any("the names of the cats" in text_of(each) for each in model.summaries[0].messages)
        await ref.prompt("next")
        assert "What was said." in text_of(model.asked[-1].messages[0])
        await whole(one)


@virtual_time
async def test_a_summary_that_fails_changes_nothing_and_is_not_tried_after_every_message() -> None:
    model = Model(by_message(**{LONG: LONG}), summaries=0)
    async with machine(agent()) as one:
        ref = await start(one, model)
        while not model.summaries:
            await ref.prompt(LONG)
            await asyncio.sleep(1)  # it is tried behind the answer
        tried = len(model.summaries)
        for _ in range(3):
            assert (await ref.prompt("short")).text == "short"
        assert len(model.summaries) == tried
        assert "compaction" not in await kinds_stored(one.store)
        while len(model.summaries) == tried and len(model.asked) < 50:
            await ref.prompt("word " * 100)
        assert len(model.summaries) > tried  # it has grown


@virtual_time
async def test_a_summary_freezes_the_newest_instructions() -> None:
    model = Model()
    keep = Compaction(automatic=False, keep_recent_tokens=100)
    async with machine(agent(instructions="Old.", compaction=keep)) as one:
        ref = await start(one, model)
        for _ in range(3):
            await ref.prompt(LONG)
        await one.stop()
        ref = await start(one, model, agent=agent(instructions="New.", compaction=keep))
        await ref.prompt("one")
        assert model.asked[-1].instructions == "Old."
        assert await ref.compact()
        await ref.prompt("two")
        assert model.asked[-1].instructions == "New."
        ref = (await one.restart(models={NAME: model})).ref("agent", "u1")
        await ref.prompt("three")
        assert model.asked[-1].instructions == "New."


@virtual_time
async def test_what_an_input_used_before_a_summary_in_its_middle_is_known_after_a_crash() -> None:
    made: list[str] = []

    def said(request: ModelRequest) -> Any:
        if len(request.messages) > 5:
            return ContextOverflowError()
        if len(made) == 4:
            return reply("done", usage=Usage(input=10, output=1))
        made.append(f"c{len(made)}")
        return reply(LONG, call("nap", made[-1]), usage=Usage(input=10, output=1))

    model = Model(said)
    async with machine(agent(compaction=Compaction(automatic=False, keep_recent_tokens=100))) as one:
        ref = await start(one, model)
        pending = await ref.submit("go")
        while "compaction" not in await kinds_stored(one.store):
            await asyncio.sleep(1)
        await asyncio.sleep(1)
        ref = (await one.restart(models={NAME: model})).ref("agent", "u1")
        answer = await ref.wait(pending.submission_id)
        assert answer.usage.input == 50
        assert not isinstance(answer.total_usage, msgspec.UnsetType)
        assert answer.total_usage.input == 50 + 70 * len(model.summaries)


@virtual_time
async def test_a_crash_around_a_summary_leaves_what_the_next_process_goes_on_with() -> None:
    async def talk(ref: Any) -> None:
        for number in range(6):
            try:
                await ref.prompt(f"{number} {LONG}", idempotency_key=f"k{number}")
            except FlueError:
                await asyncio.sleep(1)

    async with machine(agent()) as one:
        ref = await start(one, Model())
        await talk(ref)
        assert one.process is not None
        assert "compaction" in await kinds_stored(one.store)
        commits = one.process.commits
    for number in range(1, commits + 1):
        async with machine(agent()) as one:
            one.store = memory_store()
            model = Model()
            talking = asyncio.ensure_future(talk(await start(one, model, dies_after=number)))
            await asyncio.wait([talking], timeout=100)
            talking.cancel()
            ref = (await one.restart(models={NAME: model})).ref("agent", "u1")
            await talk(ref)
            await ref.prompt("end")
            entries = await whole(one)
            assert len([each for each in entries if each.kind == "settled"]) == 7


@virtual_time
async def test_a_summary_names_the_detached_tasks_under_way() -> None:
    worker = define_agent_profile(name="worker", description="Works.", instructions="", tools=[nap])
    given = call("task", agent="worker", prompt="sleep", detached=True)
    model = Model(by_message(go=given, sleep=call("nap", seconds=100)))
    async with machine(
        agent(subagents=[worker], compaction=Compaction(automatic=False, keep_recent_tokens=100))
    ) as one:
        ref = await start(one, model)
        await ref.prompt("go")
        for _ in range(3):
            await ref.prompt(LONG)
        assert await ref.compact()
        await ref.prompt("next")
        assert "given to worker, is under way" in text_of(model.asked[-1].messages[0])


@virtual_time
async def test_summaries_count_for_the_instances_whole_life() -> None:
    model = Model(by_message(**{LONG: LONG}))
    async with machine(agent(limits=Limits(total_tokens=100_000))) as one:
        ref = await start(one, model)
        used = 0
        while not model.summaries:
            answer = await ref.prompt(LONG)
            used += answer.usage.input + answer.usage.output
        await asyncio.sleep(1)
        await one.stop()
        ref = await start(one, model, agent=agent(limits=Limits(total_tokens=used + 77 * len(model.summaries))))
        with pytest.raises(InstanceLimitError):
            await ref.prompt("one more")


@virtual_time
async def test_a_crash_around_a_summary_that_was_asked_for_leaves_one() -> None:
    def short() -> Any:
        return agent(compaction=Compaction(automatic=False, keep_recent_tokens=100))

    async def talk(ref: Any) -> bool:
        for number in range(3):
            await ref.prompt(f"{number} {LONG}", idempotency_key=f"k{number}")
        return await ref.compact(idempotency_key="c")

    async with machine(short()) as one:
        assert await talk(await start(one, Model()))
        assert one.process is not None
        commits = one.process.commits
    for number in range(1, commits + 1):
        async with machine(short()) as one:
            model = Model()
            talking = asyncio.ensure_future(talk(await start(one, model, dies_after=number)))
            await asyncio.wait([talking], timeout=100)
            talking.cancel()
            ref = (await one.restart(models={NAME: model})).ref("agent", "u1")
            assert await talk(ref), number
            assert (await kinds_stored(one.store)).count("compaction") == 1
            await whole(one)


@virtual_time
async def test_how_much_a_model_reads_is_learned_from_its_first_refusal() -> None:
    def said(request: ModelRequest) -> Any:
        return ContextOverflowError(window=4000) if context_tokens(request) > 4000 else "answered"

    model, name = Model(said), "openai/nobody-knows"
    unknown = create_agent(model=name, instructions="", compaction=Compaction(reserve_tokens=1000))
    async with machine(unknown) as one:
        runtime = await one.start(models={name: model})
        for ada in (runtime.ref("agent", "u1"), runtime.ref("agent", "u2")):
            for _ in range(20):
                await ada.prompt(LONG)
    refused = [each for each in model.asked if context_tokens(each) > 4000]
    assert len(refused) == 1
    assert len(model.summaries) >= 4


@virtual_time
async def test_who_reads_the_stream_later_sees_what_was_seen_when_it_was_summarised() -> None:
    model = Model(by_message(**{LONG: LONG}))

    async def durable(ref: Any) -> list[str]:
        seen: list[str] = []

        async def follow() -> None:
            async for event in ref.session("default").events(after="0-0"):
                if str(event.offset).endswith("-0"):
                    seen.append(f"{type(event).__struct_config__.tag} {event.offset}")

        with suppress(TimeoutError):
            await asyncio.wait_for(follow(), 5)
        return seen

    async with machine(agent()) as one:
        ref = await start(one, model)
        live = asyncio.ensure_future(durable(ref))
        while not model.summaries:
            await ref.prompt(LONG)
        seen = await live
        assert "compaction" in " ".join(seen)
        ref = (await one.restart(models={NAME: model})).ref("agent", "u1")
        assert await durable(ref) == seen


@virtual_time
async def test_a_summary_and_what_it_cost_are_one_write() -> None:
    model = Model(by_message(**{LONG: LONG}))
    commits: list[tuple[Op, ...]] = []
    async with machine(agent(limits=Limits(total_tokens=100_000))) as one:
        store = one.store

        class Watched:
            def __getattr__(self, name: str) -> Any:
                return getattr(store, name)

            def commit(self, fence: Fence, *ops: Op) -> Any:
                commits.append(ops)
                return store.commit(fence, *ops)

        one.store = cast("Store", Watched())
        ref = await start(one, model)
        while not model.summaries:
            await ref.prompt(LONG)
        await asyncio.sleep(1)
    (summary,) = [
        ops for ops in commits if "compaction" in [e.kind for op in ops if isinstance(op, Append) for e in op.entries]
    ]
    assert [op.name for op in summary if isinstance(op, PutKv) and op.kind == "usage"] == ["total"]
