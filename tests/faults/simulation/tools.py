"""Tools of every kind that behave as the model asks, and a ledger of what they really did."""

import asyncio
from collections import Counter
from collections.abc import Collection
from typing import Final, Protocol

from flue_actors.definition.tools import Tool, ToolContext, tool
from flue_actors.errors import ToolError
from flue_actors.ids import AgentKey
from tests.faults.simulation.actions import PAD, Plan
from tests.faults.simulation.reference import Reference

TIMEOUT: Final = 5.0

CALM: Final = ("quick", "quick", "slow")
SUBAGENTS: Final = ("helper", "deeper")
"""Each is the one before's."""

APPROVED: Final = ("deploy", "publish")
"""Tools whose calls somebody has to approve."""

BEHAVIOURS: Final = ("quick", "quick", "quick", "pause", "slow", "slow", "slow", "raise", "tell", "hang", "stubborn")


class Workshop(Protocol):
    """What tools need of the world."""

    plan: Plan
    reference: Reference

    def alive(self) -> bool:
        """False when the process that runs this code is dead."""
        ...

    def tick(self, kind: str) -> None:
        """Something happened at which the process may die."""
        ...


class Ledger:
    """How often each call and each step ran. It outlives every process, as the world outside does."""

    def __init__(self, world: Workshop) -> None:
        self._world = world
        self._steps: Counter[str] = Counter()

    def begin(self, name: str, call_id: str, how: str, *, again: bool) -> None:
        """A call has its effect; ``again``: it may have it more than once."""
        reference = self._world.reference
        reference.runs[call_id] += 1
        if not self._world.alive():
            return
        if reference.runs[call_id] > 1 and not again:
            reference.blame(f"{call_id} runs again, and is not idempotent")
        if call_id in reference.results:
            reference.blame(f"{call_id} runs again after its result was stored")
        if call_id not in reference.calls:
            reference.blame(f"{call_id} runs before the reply that asks for it is stored")
        if name in APPROVED:
            reference.decisions.begins(call_id)
        if how == "stubborn":
            reference.left_behind.add(reference.calls.get(call_id, ""))
        self._world.tick("tool")

    def saw(self, call_id: str, key: AgentKey, names: Collection[str]) -> None:
        """A call that counts sees this state."""
        if self._world.alive():
            self._world.reference.states.seen(call_id, key, names)

    def answer(self, call_id: str) -> str:
        """What the call answers. Where length matters every other one is long."""
        more = "word" * PAD if self._world.plan.window and call_id[-3] in "02468" else ""
        return f"{call_id} ran {self._world.reference.runs[call_id]} times {more}".rstrip()

    def step(self, name: str) -> int:
        """A step of a durable tool has its effect; its value."""
        if self._world.alive() and name in self._world.reference.steps:
            self._world.reference.blame(f"step {name} runs again after it was recorded")
        self._steps[name] += 1
        return self._steps[name]

    def check_step(self, name: str, value: int) -> None:
        """The tool gets this value for a step."""
        if self._world.alive() and value != self._steps[name]:
            self._world.reference.blame(f"step {name} is worth {value}, and its last run {self._steps[name]}")


def make_tools(ledger: Ledger) -> list[Tool]:
    """The tools of one life of the process."""

    @tool(timeout=TIMEOUT)
    async def work(how: str, context: ToolContext) -> str:
        """Have an effect that must not happen twice."""
        ledger.begin("work", context.tool_call_id, how, again=False)
        await _behave(how)
        return ledger.answer(context.tool_call_id)

    @tool(timeout=TIMEOUT, idempotent=True)
    async def look(how: str, context: ToolContext) -> str:
        """Have an effect that may happen twice."""
        ledger.begin("look", context.tool_call_id, how, again=True)
        await _behave(how)
        return ledger.answer(context.tool_call_id)

    @tool(timeout=TIMEOUT, durable=True)
    async def build(how: str, context: ToolContext) -> str:
        """Work in steps that are recorded."""
        call_id = context.tool_call_id
        ledger.begin("build", call_id, how, again=True)
        for name in ("one", "two"):

            async def step(full: str = f"{call_id}/{name}") -> int:
                value = ledger.step(full)
                await _behave(how)
                return value

            ledger.check_step(f"{call_id}/{name}", await context.step.do(name, step))
        return ledger.answer(call_id)

    return [work, look, build]


def make_more_tools(ledger: Ledger) -> list[Tool]:
    """Those that only some plans have."""

    @tool(timeout=TIMEOUT, approval=True)
    async def deploy(how: str, context: ToolContext) -> str:
        """Have an effect that must not happen twice, nor unless it is approved."""
        ledger.begin("deploy", context.tool_call_id, how, again=False)
        await _behave(how)
        return ledger.answer(context.tool_call_id)

    @tool(timeout=TIMEOUT, approval=True, idempotent=True)
    async def publish(how: str, context: ToolContext) -> str:
        """Have an effect that may happen twice, once it is approved."""
        ledger.begin("publish", context.tool_call_id, how, again=True)
        await _behave(how)
        return ledger.answer(context.tool_call_id)

    @tool(timeout=TIMEOUT, idempotent=True)
    async def count(how: str, context: ToolContext) -> str:
        """Leave a mark in the instance's state."""
        call_id = context.tool_call_id
        ledger.begin("count", call_id, how, again=True)
        ledger.saw(call_id, context.agent, list(context.state))
        context.state[call_id] = True
        await _behave(how)
        return ledger.answer(call_id)

    return [deploy, publish, count]


async def _behave(how: str) -> None:
    match how:
        case "pause":
            await asyncio.sleep(0)
        case "slow":
            await asyncio.sleep(0.8)
        case "raise":
            raise ValueError("planned")
        case "tell":
            raise ToolError("planned")
        case "hang":
            await asyncio.Event().wait()
        case "stubborn":
            await _stubborn()
        case _:
            pass


async def _stubborn() -> None:
    """Ignores every cancellation for a while."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 40
    while (left := end - loop.time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue
