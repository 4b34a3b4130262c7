import asyncio
import logging

import pytest

from flue_actors import AgentConfig, AgentContext, Principal, create_agent, memory_store, sqlite
from flue_actors.agents.actor import SESSIONS_IN_MEMORY
from flue_actors.definition.settings import Settings
from flue_actors.errors import (
    ConfigError,
    InternalError,
    UnknownAgentError,
)
from flue_actors.ids import AgentKey
from flue_actors.memory import MemoryStore
from flue_actors.runtime import Runtime
from flue_actors.storage import Entry
from tests.runtime.support import running, virtual_time

ECHO = create_agent(model="scripted/echo", instructions="Echo.")


async def test_a_runtime_starts_once() -> None:
    async with running(ECHO) as runtime:
        with pytest.raises(ConfigError):
            await runtime.start()


async def test_redefined_agents_answer_the_next_message() -> None:
    async with running(ECHO) as runtime:
        await runtime.ref("agent", "u1").prompt("hello")
        runtime.redefine({"agent": create_agent(model="scripted/jokes", instructions="")})
        assert not (await runtime.ref("agent", "u1").prompt("hello")).text.startswith("echo")


async def test_an_agent_that_is_gone_is_unknown() -> None:
    async with running(ECHO) as runtime:
        runtime.redefine({"other": ECHO})
        with pytest.raises(UnknownAgentError):
            runtime.ref("agent", "u1")


async def test_an_alias_reaches_the_same_conversation() -> None:
    agent = create_agent(model="scripted/echo", name="renamed", aliases=["old-name"])
    async with Runtime({"file": agent}) as runtime:
        await runtime.ref("old-name", "u1").prompt("one")
        assert "(3 messages)" in (await runtime.ref("renamed", "u1").prompt("two")).text


async def test_two_agents_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError):
        Runtime(
            {"a": create_agent(model="scripted/echo", name="x"), "b": create_agent(model="scripted/echo", name="x")}
        )


class Reads(MemoryStore):
    """Knows which conversations were read."""

    def __init__(self) -> None:
        super().__init__()
        self.of: list[str] = []

    async def entries(
        self, key: AgentKey, session: str, *, after: int = 0, before: int | None = None, limit: int | None = None
    ) -> list[Entry]:
        self.of.append(session)
        return await super().entries(key, session, after=after, before=before, limit=limit)


async def test_an_instance_keeps_so_many_conversations_in_memory_and_reads_others_again() -> None:
    store = Reads()
    async with running(ECHO, store=store) as runtime:
        ref = runtime.ref("agent", "u1")
        for number in range(SESSIONS_IN_MEMORY + 1):
            await ref.session(f"s{number}").prompt("one")
        assert store.of == []
        assert "(3 messages)" in (await ref.session(f"s{SESSIONS_IN_MEMORY}").prompt("two")).text
        assert store.of == []
        assert "(3 messages)" in (await ref.session("s0").prompt("two")).text
        assert store.of == ["s0"]


@virtual_time
async def test_so_many_instances_stay_in_memory_those_that_were_used_last() -> None:
    async with running(ECHO, settings=Settings(max_active=2)) as runtime:
        for number in range(5):
            await runtime.ref("agent", f"u{number}").prompt("hello")
        await asyncio.sleep(1)
        assert [each.address.id for each in runtime.snapshot().actors.actors] == ["u3", "u4"]


async def test_idle_instances_hold_nothing_live() -> None:
    async with running(ECHO) as runtime:
        for number in range(50):
            await runtime.ref("agent", f"u{number}").prompt("hello")
        snapshot = runtime.snapshot()
    assert (snapshot.pending, snapshot.instances, snapshot.actors.running) == (0, 0, 0)


@virtual_time
async def test_idle_instances_leave_memory_and_come_back_with_their_history() -> None:
    async with running(ECHO, settings=Settings(passivate_after=60)) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("one")
        await asyncio.sleep(120)
        assert runtime.snapshot().actors.actors == ()
        assert "(3 messages)" in (await ref.prompt("two")).text


async def test_two_runtimes_in_one_process_do_not_meet(tmp_path: object) -> None:
    async with running(ECHO) as one, running(ECHO) as other:
        await one.ref("agent", "u1").prompt("hello")
        assert "(1 messages)" in (await other.ref("agent", "u1").prompt("hello")).text


async def test_the_conversation_survives_in_a_file(tmp_path: object) -> None:
    for expected in ("(1 messages)", "(3 messages)"):
        async with running(ECHO, store=sqlite(f"{tmp_path}/x.db")) as runtime:
            assert expected in (await runtime.ref("agent", "u1").prompt("hello")).text


@virtual_time
async def test_an_initializer_that_hangs_fails_its_input_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)

    @create_agent
    async def agent(ctx: AgentContext) -> AgentConfig:
        if not hung:
            hung.append(True)
            await asyncio.Event().wait()
        return AgentConfig(model="scripted/echo", instructions="")

    hung: list[bool] = []
    async with running(agent) as runtime:
        with pytest.raises(InternalError):
            await runtime.ref("agent", "u1").prompt("one")
        assert "two" in (await runtime.ref("agent", "u1").prompt("two")).text


@virtual_time
async def test_a_sender_who_left_while_it_was_accepted_is_not_kept_as_a_reader() -> None:
    agent = create_agent(model="scripted/echo", instructions="", concurrency="session")
    store = memory_store()
    async with running(agent, store=store) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("so that its sessions run side by side")
        await ref.session("busy").submit("hang")
        sending = asyncio.ensure_future(ref.session("left").submit("hello", watch=True))
        await asyncio.sleep(0)
        (_, left) = await store.unsettled()
        sending.cancel()
        await asyncio.sleep(10)
        live = runtime.live(AgentKey("agent", "u1"))
        assert [row.session for row in await store.unsettled()] == ["busy"]
        assert live is not None
        assert not live.feed.is_watched(left.id, "left")


async def test_claims_that_are_not_json_are_the_applications_error_and_nothing_is_admitted() -> None:
    async with running(ECHO) as runtime:
        with pytest.raises(ConfigError, match="claims"):
            await runtime.ref("agent", "u1").prompt("hi", principal=Principal("ada", claims={"now": object()}))
        assert runtime.snapshot().pending == 0
