"""A model whose replies are the seed's choice: words that say where they belong, calls of every tool, faults of every kind."""

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import Any, Final, Protocol

from flue_actors.conversation.tokens import estimate_tokens
from flue_actors.errors import ContextOverflowError, ModelError, ModelOverloadedError, ModelRefusedError
from flue_actors.ids import TASK_PREFIX
from flue_actors.messages import (
    AssistantContent,
    AssistantMessage,
    TextContent,
    ToolCall,
    Usage,
    text_of,
    tool_calls_of,
)
from flue_actors.models.protocol import ModelEvent, ModelRequest, ReplyDone, TextDelta
from tests.faults.simulation.actions import Plan
from tests.faults.simulation.reference import Reference, words
from tests.faults.simulation.summaries import summary_of
from tests.faults.simulation.tools import APPROVED, BEHAVIOURS, CALM, SUBAGENTS

ROUNDS: Final = 4
TOOLS: Final = ("work", "work", "look", "build", "nothing")
SUMMARY_FAULTS: Final = ("error", "fatal", "empty")
FAULTS: Final = ("error", "error", "half", "half", "fatal", "refuse", "stall", "length")


class Asked(Protocol):
    """What the model needs of the world."""

    plan: Plan
    rng: random.Random
    reference: Reference
    calm: bool
    troubled: float

    def tick(self, kind: str) -> None:
        """Something happened at which the process may die."""
        ...

    def asked(self, request: ModelRequest) -> None:
        """The model gets this request."""
        ...

    def next_reply(self) -> int:
        """The number of the next reply."""
        ...


class SimulatedModel:
    """See the module."""

    def __init__(self, world: Asked) -> None:
        self._world = world

    @property
    def api(self) -> str:
        return "simulated"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        world, rng = self._world, self._world.rng
        if not request.affinity:
            async for event in self._summarise(request):
                yield event
            return
        world.asked(request)
        read = estimate_tokens(request.messages) if world.plan.window else 0
        if world.plan.window < read:
            raise ContextOverflowError(dev=f"{read} tokens")
        fault = rng.choice(FAULTS) if not world.calm and rng.random() < world.troubled else ""
        if fault == "stall":
            await asyncio.Event().wait()
        if fault in {"error", "fatal"}:
            raise ModelOverloadedError(retryable=fault == "error", dev="the simulation asked for it")
        number = world.next_reply()
        calls = self._calls(request, number)
        count = rng.randint(0 if calls else 1, 4)
        slow = rng.random() < 0.3
        world.reference.sent[number] = 0
        world.reference.whole[number] = count
        for place in range(count):
            if slow:
                await asyncio.sleep(rng.choice((0.1, 0.7, 1.6)))
            if fault == "half" and place == count - 1:
                raise ModelError(retryable=True, dev="half a stream")
            world.reference.sent[number] = place + 1
            yield TextDelta(f"r{number}.{place} ")
            world.tick("delta")
        if fault == "refuse":
            raise ModelRefusedError(dev="the simulation asked for it")
        yield _reply(words(number, count), calls, "length" if fault == "length" and not calls else None, read)

    async def aclose(self) -> None:
        """Nothing to close."""

    async def _summarise(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Notes of what it is shown."""
        world, rng = self._world, self._world.rng
        (message,) = request.messages
        world.reference.summaries.asked(text_of(message))
        fault = rng.choice(SUMMARY_FAULTS) if not world.calm and rng.random() < world.troubled else ""
        if fault in {"error", "fatal"}:
            raise ModelOverloadedError(retryable=fault == "error", dev="the simulation asked for it")
        await asyncio.sleep(rng.choice((0.0, 0.0, 0.2, 3.0)))
        world.tick("delta")
        world.reference.summaries.lost += 1
        yield _reply("" if fault == "empty" else summary_of(text_of(message)), (), None, 0)

    def _calls(self, request: ModelRequest, number: int) -> tuple[ToolCall, ...]:
        rng = self._world.rng
        if rng.random() > 0.4 / (1 + 0.5 * _rounds(request)):
            return ()
        how = CALM if self._world.calm else BEHAVIOURS
        return tuple(
            [
                self._call(request, f"c{number}.{place}", rng.choice(TOOLS), rng.choice(how))
                for place in range(rng.choice((1, 1, 2, 3)))
            ]
        )

    def _call(self, request: ModelRequest, call_id: str, name: str, how: str) -> ToolCall:
        """Some are of a kind that only some plans have; where a plan has none, the seed's choices are as without."""
        plan, rng = self._world.plan, self._world.rng
        roll = rng.random() if plan.tasks or plan.approvals or plan.counts else 1.0
        depth = request.affinity.count(TASK_PREFIX)
        if roll < plan.tasks and depth < len(SUBAGENTS):
            arguments: dict[str, Any] = {"agent": SUBAGENTS[depth], "prompt": f"task {call_id}"}
            if plan.detached and not self._world.calm and rng.random() < plan.detached:
                arguments["detached"] = True
            return ToolCall(id=call_id, name="task", arguments=arguments)
        if plan.tasks <= roll < plan.tasks + plan.approvals:
            name = rng.choice(APPROVED)
        elif plan.tasks + plan.approvals <= roll < plan.tasks + plan.approvals + plan.counts:
            name = "count"
        return ToolCall(id=call_id, name=name, arguments={"how": how})


def _rounds(request: ModelRequest) -> int:
    count = 0
    for message in reversed(request.messages):
        if isinstance(message, AssistantMessage):
            if not tool_calls_of(message):
                break
            count += 1
    return count


def _reply(text: str, calls: tuple[ToolCall, ...], stop_reason: Any, read: int) -> ReplyDone:
    content: tuple[AssistantContent, ...] = (TextContent(text=text),) if text else ()
    usage = Usage(output=1, total_tokens=read + 1 if read else 0)
    return ReplyDone(content=content + calls, stop_reason=stop_reason or ("toolUse" if calls else "stop"), usage=usage)
