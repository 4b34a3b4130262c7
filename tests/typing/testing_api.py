"""How the test kit is used, for the type checker: nothing here is run."""

from collections.abc import AsyncGenerator
from typing import assert_type

from flue_actors import create_agent
from flue_actors.errors import ModelError
from flue_actors.messages import ToolCall, Usage
from flue_actors.models.protocol import ModelClient, ModelEvent, ModelRequest, TextDelta
from flue_actors.refs import LocalAgentRef
from flue_actors.runtime import Runtime
from flue_actors.testing import (
    FlueRuntime,
    FunctionModel,
    Machine,
    RecordedModel,
    ScriptedModel,
    calls,
    in_virtual_time,
    reply,
    run_virtual,
    thinks,
)

agent = create_agent(model="anthropic/claude-haiku-4-5")


def told(request: ModelRequest) -> str | ToolCall:
    return calls("add", a=1) if request.tools else "no tools"


async def later(_: ModelRequest) -> ModelError:
    return ModelError("Later.", retryable=True)


async def streamed(_: ModelRequest) -> AsyncGenerator[ModelEvent]:
    yield TextDelta("one")


scripted = ScriptedModel(
    [
        "text",
        calls("add", a=1),
        (thinks("Hm."), calls("add", a=1), "and"),
        reply("Hel", usage=Usage(), stop_reason="length"),
    ]
)
scripted.add(ModelError("Broken."), told, later, streamed, lambda request: request.instructions)
clients: list[ModelClient] = [scripted, FunctionModel(told), FunctionModel(streamed), RecordedModel("a.jsonl")]
assert_type(scripted.requests, list[ModelRequest])


@in_virtual_time
async def test_example(flue_runtime: FlueRuntime) -> None:
    async with flue_runtime({"agent": agent}, models={"anthropic/claude-haiku-4-5": scripted}) as machine:
        assert_type(machine, Machine)
        assert_type(machine.ref("agent", "u1"), LocalAgentRef)
        assert_type(await machine.restart(models=scripted), Runtime)
        with machine.runtime.override(models=scripted):
            await machine.evict(machine.ref(agent, "u1"))


async def number() -> int:
    return 1


assert_type(run_virtual(number), int)
