"""A definition that changes under a conversation: the model is told once, its cache stays warm, and nothing is lost."""

import asyncio
import logging
from typing import Any

import pytest

from flue_actors import AgentConfig, AgentContext, create_agent, memory_store, tool
from flue_actors.definition.settings import Settings
from flue_actors.errors import UnavailableError, UnknownAgentError
from flue_actors.messages import SignalMessage, text_of
from flue_actors.models.protocol import ModelRequest
from flue_actors.runtime import Runtime
from flue_actors.testing import ScriptedModel
from tests.runtime.machine import machine, results_in, signals
from tests.runtime.support import running, virtual_time


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@tool
async def add(a: int) -> int:
    """Add one."""
    return a + 1


class Model:
    """A model that answers everything, known under one name to every definition."""

    def __init__(self) -> None:
        self.client = ScriptedModel(["ok"] * 20)

    @property
    def requests(self) -> list[ModelRequest]:
        return self.client.requests

    def agent(self, instructions: str, **fields: Any) -> Any:
        return create_agent(model="own/x", instructions=instructions, **fields)

    def known_to(self, runtime: Runtime) -> None:
        runtime.register_client("own", lambda: self.client)


def told(request: ModelRequest) -> list[str]:
    """The changed instructions it was told, in order."""
    found = [each for each in request.messages if isinstance(each, SignalMessage) and each.type == "instructions"]
    return [text_of(each).splitlines()[-1] for each in found]


def system(request: ModelRequest) -> tuple[str, str]:
    return request.instructions, request.instance_text


@virtual_time
async def test_each_claim_records_version_and_fingerprint() -> None:
    async with machine(create_agent(model="scripted/echo", instructions="", version="1")) as one:
        ref = (await one.start()).ref("agent", "u1")
        pending = await ref.submit("wait 5")
        await asyncio.sleep(1)
        before = await one.row(pending.submission_id)
        ref = (await one.restart(create_agent(model="scripted/echo", instructions="New.", version="2"))).ref(
            "agent", "u1"
        )
        await ref.wait(pending.submission_id)
        after = await one.row(pending.submission_id)
        assert (before.version, after.version) == ("1", "2")
        assert before.fingerprint != after.fingerprint
        assert before.fingerprint is not None


async def test_changed_instructions_are_told_once_behind_the_same_system_prompt() -> None:
    model = Model()
    async with running(model.agent("Old.")) as runtime:
        model.known_to(runtime)
        ref = runtime.ref("agent", "u1")
        await ref.prompt("one")
        runtime.redefine({"agent": model.agent("New.")})
        await ref.prompt("two")
        await ref.prompt("three")
        runtime.redefine({"agent": model.agent("Newest.")})
        await ref.prompt("four")
    assert [told(request) for request in model.requests] == [[], ["New."], ["New."], ["New.", "Newest."]]
    assert len({system(request) for request in model.requests}) == 1
    for earlier, later in zip(model.requests, model.requests[1:], strict=False):
        assert later.messages[: len(earlier.messages)] == earlier.messages  # the cache's prefix


@virtual_time
@pytest.mark.parametrize("between", ["restart", "passivation"])
@pytest.mark.parametrize("shared", [True, False])
async def test_it_is_told_once_also_when_the_session_is_read_anew(between: str, shared: bool) -> None:
    model = Model()

    def agent(instructions: str) -> Any:
        if shared:
            return model.agent(instructions)

        def initialize(ctx: AgentContext) -> AgentConfig:
            return AgentConfig(model="own/x", instructions=f"{instructions} For {ctx.id}.")

        return create_agent(initialize)

    async with machine(agent("Old."), Settings(passivate_after=10)) as one:
        runtime = await one.start(before=model.known_to)
        await runtime.ref("agent", "u1").prompt("one")
        for text in ("two", "three"):
            if between == "restart":
                await one.crash()
                runtime = await one.start(agent("New."), before=model.known_to)
            else:
                runtime.redefine({"agent": agent("New.")})
                await asyncio.sleep(1000)
                assert runtime.snapshot().actors.actors == ()
            await runtime.ref("agent", "u1").prompt(text)
    new = "New." if shared else "New. For u1."
    assert [told(request) for request in model.requests] == [[], [new], [new]]
    assert len({system(request) for request in model.requests}) == 1


async def test_what_is_told_of_instructions_is_not_in_the_history() -> None:
    model = Model()
    async with running(model.agent("Old.")) as runtime:
        model.known_to(runtime)
        ref = runtime.ref("agent", "u1")
        await ref.prompt("one")
        runtime.redefine({"agent": model.agent("New.")})
        await ref.prompt("two")
        assert [type(entry.message) for entry in await ref.history()].count(SignalMessage) == 0
        assert await signals(runtime.store) == ["instructions"]


async def test_new_tools_bring_a_new_system_prompt() -> None:
    model = Model()
    async with running(model.agent("Old.")) as runtime:
        model.known_to(runtime)
        ref = runtime.ref("agent", "u1")
        await ref.prompt("one")
        runtime.redefine({"agent": model.agent("New.")})
        await ref.prompt("two")
        runtime.redefine({"agent": model.agent("New.", tools=[add])})
        await ref.prompt("three")
    assert [request.instructions for request in model.requests] == ["Old.", "Old.", "New."]
    assert [spec.name for spec in model.requests[2].tools] == ["add"]
    assert told(model.requests[2]) == ["New."]  # what was said stays said


async def test_another_sessions_prompt_is_its_own() -> None:
    model = Model()
    async with running(model.agent("Old.")) as runtime:
        model.known_to(runtime)
        ref = runtime.ref("agent", "u1")
        await ref.prompt("one")
        runtime.redefine({"agent": model.agent("New.")})
        await ref.session("fresh").prompt("two")
    assert [request.instructions for request in model.requests] == ["Old.", "New."]
    assert told(model.requests[1]) == []


@virtual_time
async def test_a_running_turn_keeps_the_definition_it_began_with() -> None:
    async with running(create_agent(model="scripted/echo", instructions="", tools=[add])) as runtime:
        ref = runtime.ref("agent", "u1")
        pending = await ref.submit('wait 5\ncall add {"a": 1}')
        await asyncio.sleep(1)
        runtime.redefine({"agent": create_agent(model="scripted/echo", instructions="")})
        assert (await pending.result()).text.startswith("echo: 2")


@virtual_time
async def test_inputs_of_an_agent_that_is_gone_wait_are_listed_and_are_taken_up_when_it_is_back() -> None:
    echo = create_agent(model="scripted/echo", instructions="")
    async with machine(echo) as one:
        ref = (await one.start()).ref("agent", "u1")
        sent = [await ref.submit("wait 50"), await ref.dispatch("two")]
        await asyncio.sleep(1)
        await one.crash()
        one.agents = {"other": echo}
        runtime = await one.start()
        assert [each.submission_id for each in runtime.parked] == [each.submission_id for each in sent]
        assert (runtime.snapshot().parked, runtime.snapshot().pending) == (2, 0)
        with pytest.raises(UnknownAgentError):
            runtime.ref("agent", "u1")
        runtime.redefine({"agent": echo, "other": echo})
        ref = runtime.ref("agent", "u1")
        assert [(await ref.wait(each.submission_id)).text[:5] for each in sent] == ["echo:", "echo:"]
        assert runtime.parked == ()


@virtual_time
async def test_an_agent_that_goes_while_its_inputs_wait_keeps_them_waiting() -> None:
    echo = create_agent(model="scripted/echo", instructions="")
    store = memory_store()
    async with running(echo, store=store) as runtime:
        ref = runtime.ref("agent", "u1")
        first, second = await ref.submit("wait 5"), await ref.submit("two")
        await asyncio.sleep(1)
        runtime.redefine({})
        await first.result()
        for wait in (second.result(), ref.wait(second.submission_id)):
            with pytest.raises(UnavailableError):
                await wait
        assert [each.submission_id for each in runtime.parked] == [second.submission_id]
        runtime.redefine({"agent": echo})
        assert (await ref.wait(second.submission_id)).text.startswith("echo: two")


@virtual_time
async def test_a_tool_that_is_gone_after_a_crash_is_told_to_be_gone() -> None:
    @tool
    async def slow() -> str:
        """Never end."""
        await asyncio.Event().wait()
        return "never"

    async with machine(create_agent(model="scripted/echo", instructions="", tools=[slow])) as one:
        pending = await (await one.start()).ref("agent", "u1").submit("call slow")
        await asyncio.sleep(1)
        ref = (await one.restart(create_agent(model="scripted/echo", instructions=""))).ref("agent", "u1")
        await ref.wait(pending.submission_id)
        (gone,) = results_in([entry.message for entry in await ref.history()])
        assert "slow" in gone
