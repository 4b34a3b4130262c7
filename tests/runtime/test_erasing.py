"""Erasing: nothing of it is left, whatever it was doing, and what comes next begins anew."""

import asyncio
import logging
from typing import get_args

import pytest

from flue_actors import AgentConfig, AgentContext, create_agent, define_agent_profile, tool
from flue_actors.definition.settings import Settings
from flue_actors.errors import AbortedError, SessionBusyError, SubmissionNotFoundError
from flue_actors.ids import AgentKey
from flue_actors.storage import KvKind, Store
from flue_actors.testing import FunctionModel
from tests.runtime.machine import U1, machine
from tests.runtime.models import by_message, call
from tests.runtime.support import running, virtual_time

SLOW = create_agent(model="scripted/echo?rate=1&size=1", instructions="")
ECHO = create_agent(model="scripted/echo", instructions="")
KV: tuple[KvKind, ...] = get_args(KvKind)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


async def left(store: Store, *submissions: str, key: AgentKey = U1) -> list[object]:
    """Whatever the store still has of the instance, and of these inputs."""
    found: list[object] = [*await store.sessions(key)]
    for kind in KV:
        found.extend((await store.kv(key, kind)).items())
    for each in submissions:
        found.extend(await store.journal(each))
        found.extend([row for row in [await store.submission(each)] if row is not None])
    found.extend([row for row in await store.unsettled() if row.key == key])
    idle, _ = await store.idle(before=1 << 60, after=None, limit=100)
    return [*found, *[each for each in idle if each == key]]


@virtual_time
@pytest.mark.parametrize("state", ["at work", "waiting", "idle", "cold", "after a restart"])
async def test_nothing_of_an_instance_is_left_whatever_it_did(state: str) -> None:
    async with machine(SLOW, Settings(passivate_after=10, drain_timeout=0)) as one:
        runtime = await one.start()
        ref = runtime.ref("agent", "u1")
        done = await ref.submit("hi")
        other = await ref.session("other").submit("hi")
        await asyncio.gather(done.result(), other.result())
        sent = [done.submission_id, other.submission_id]
        if state in {"at work", "waiting", "after a restart"}:
            sent.append((await ref.submit("a long story")).submission_id)
            sent.append((await ref.dispatch("and this")).submission_id)
            await asyncio.sleep(0 if state == "waiting" else 5)
        if state == "after a restart":
            runtime = await one.restart()
            ref = runtime.ref("agent", "u1")
        if state == "cold":
            await asyncio.sleep(1000)
        await runtime.ref("agent", "u2").prompt("hi")
        await ref.erase()
        assert await left(one.store, *sent) == []
        assert await left(one.store, key=AgentKey("agent", "u2")) != []
        with pytest.raises(SubmissionNotFoundError):
            await ref.submission(done.submission_id)


@virtual_time
async def test_what_a_definition_says_of_one_instance_is_gone_with_it_in_its_subagents_too() -> None:
    model = FunctionModel(by_message(go=call("task", agent="worker", prompt="work", detached=True)))

    @create_agent
    def agent(ctx: AgentContext) -> AgentConfig:
        worker = define_agent_profile(name="worker", description="Works.", instructions=f"Work for {ctx.id}.")
        return AgentConfig(model=model, instructions=f"Serve {ctx.id}.", subagents=[worker])

    async with machine(agent) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.prompt("go")
        await asyncio.sleep(1)
        await ref.erase()
        assert await left(one.store) == []
        assert await one.store.kv(AgentKey("agent", ""), "frozen") == {}  # where every instance's texts are


@virtual_time
async def test_who_waits_for_what_is_erased_is_told() -> None:
    async with running(SLOW) as runtime:
        ref = runtime.ref("agent", "u1")
        sent = [await ref.submit("a long story"), await ref.submit("and another")]
        await asyncio.sleep(2)
        await ref.erase()
        for each in sent:
            with pytest.raises(AbortedError) as told:
                await each.result()
            assert told.value.meta == {"reason": "erased"}


@virtual_time
async def test_the_next_conversation_begins_anew() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("one", idempotency_key="k")
        await ref.erase()
        assert await ref.history() == []
        assert (await ref.prompt("one", idempotency_key="k")).text == "echo: one (1 messages)"
        assert runtime.snapshot().store.refused == 0  # its actor kept nothing of what was


@virtual_time
async def test_a_session_is_deleted_alone() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        mine = await ref.submit("one")
        await asyncio.gather(mine.result(), ref.session("other").prompt("two"))
        await ref.delete()
        assert [each.name for each in await ref.sessions()] == ["other"]
        with pytest.raises(SubmissionNotFoundError):
            await ref.submission(mine.submission_id)
        assert (await ref.prompt("three")).text == "echo: three (1 messages)"
        assert (await ref.session("other").prompt("four")).text == "echo: four (3 messages)"


@virtual_time
async def test_deleting_a_session_stops_what_runs_in_it_and_leaves_the_others_work() -> None:
    async with running(create_agent(model="scripted/echo", instructions="", concurrency="session")) as runtime:
        ref = runtime.ref("agent", "u1")
        mine, other = await ref.submit("wait 50"), await ref.session("other").submit("wait 5")
        await asyncio.sleep(1)
        await ref.delete()
        with pytest.raises(AbortedError):
            await mine.result()
        assert (await other.result()).text.startswith("echo: wait 5")


@virtual_time
async def test_what_comes_while_it_is_being_erased_is_refused_and_taken_after_it() -> None:
    @tool
    async def lingering() -> str:
        """Need a while to end."""
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5)
        return "never"

    async with running(create_agent(model="scripted/echo", instructions="", tools=[lingering])) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.submit("call lingering")
        await asyncio.sleep(1)
        erasing = asyncio.ensure_future(ref.erase())
        await asyncio.sleep(1)
        with pytest.raises(SessionBusyError):
            await ref.submit("too early")
        await erasing
        assert await left(runtime.store) == []
        assert (await ref.prompt("hello")).text == "echo: hello (1 messages)"


async def test_erasing_what_is_not_there_is_no_error() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.erase()
        await ref.session("never").delete()
        assert await left(runtime.store) == []


@virtual_time
async def test_two_who_erase_at_once_both_see_it_gone() -> None:
    async with running(SLOW) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.submit("a long story")
        await asyncio.sleep(2)
        await asyncio.gather(ref.erase(), ref.erase(), ref.delete())
        assert await left(runtime.store) == []
        assert (await ref.prompt("hi")).text == "echo: hi (1 messages)"


@virtual_time
async def test_instructions_that_were_changed_before_it_are_forgotten_with_it() -> None:
    async with running(create_agent(model="scripted/echo", instructions="Old.")) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("one")
        await ref.erase()
        runtime.redefine({"agent": create_agent(model="scripted/echo", instructions="New.")})
        assert (await ref.prompt("two")).text == "echo: two (1 messages)"
