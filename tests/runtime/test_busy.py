"""What becomes of a message to an instance that has work (`agent_ref.IfBusy`)."""

import asyncio
import logging
from typing import Any

import pytest

from flue_actors import create_agent, tool
from flue_actors.agent_ref import IfBusy, Submitted
from flue_actors.errors import AbortedError, SessionBusyError
from flue_actors.messages import ToolCall, UserMessage, text_of
from flue_actors.refs import LocalAgentRef
from flue_actors.runtime import Runtime
from flue_actors.testing import ScriptedModel
from tests.runtime.machine import kinds_stored, machine, texts
from tests.runtime.support import running, virtual_time

NAP = ToolCall(id="1", name="nap", arguments={})


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@tool
async def nap() -> str:
    """Sleep for ten seconds."""
    await asyncio.sleep(10)
    return "rested"


ECHO = create_agent(model="scripted/echo", instructions="", tools=[nap])
LANES = create_agent(model="scripted/echo", instructions="", tools=[nap], concurrency="session")


async def busy(runtime: Runtime, message: str = "call nap") -> tuple[LocalAgentRef, Submitted]:
    """An instance one second into a nap."""
    ref = runtime.ref("agent", "u1")
    first = await ref.submit(message)
    await asyncio.sleep(1)
    return ref, first


async def reason(pending: Submitted) -> object:
    with pytest.raises(AbortedError) as told:
        await pending.result()
    assert told.value.meta is not None
    return told.value.meta["reason"]


async def asked(ref: LocalAgentRef) -> list[str]:
    """What users said, as the history has it."""
    return [text_of(entry.message) for entry in await ref.history() if isinstance(entry.message, UserMessage)]


@virtual_time
async def test_queue_waits_its_turn_in_the_order_of_acceptance() -> None:
    async with running(ECHO) as runtime:
        ref, _ = await busy(runtime)
        rest = [await ref.submit(text) for text in ("one", "two", "three")]
        await asyncio.gather(*[each.result() for each in rest])
        assert await asked(ref) == ["call nap", "one", "two", "three"]


@virtual_time
async def test_reject_is_refused_while_anything_is_under_way_and_admitted_else() -> None:
    async with running(ECHO) as runtime:
        ref, first = await busy(runtime)
        with pytest.raises(SessionBusyError) as told:
            await ref.submit("two", if_busy="reject")
        assert told.value.meta == {"queued": 1}
        await first.result()
        assert (await ref.prompt("two", if_busy="reject")).text.startswith("echo: two")


@virtual_time
async def test_interrupt_ends_what_runs_and_leaves_what_waits() -> None:
    async with running(ECHO) as runtime:
        ref, first = await busy(runtime)
        waiting = await ref.submit("two")
        newest = await ref.submit("three", if_busy="interrupt")
        assert await reason(first) == "interrupted"
        assert asyncio.get_running_loop().time() < 2
        assert (await waiting.result()).text.startswith("echo: two")
        assert (await newest.result()).text.startswith("echo: three")


@virtual_time
async def test_interrupt_by_a_dispatch_ends_a_prompt() -> None:
    async with running(ECHO) as runtime:
        ref, first = await busy(runtime)
        receipt = await ref.dispatch({"n": 1}, if_busy="interrupt")
        assert await reason(first) == "interrupted"
        assert (await ref.wait(receipt)).text


@virtual_time
async def test_supersede_ends_what_waits_and_lets_what_runs_finish() -> None:
    async with running(ECHO) as runtime:
        ref, first = await busy(runtime)
        waiting = [await ref.submit("two"), await ref.submit("three")]
        newest = await ref.submit("four", if_busy="supersede")
        assert [await reason(each) for each in waiting] == ["superseded", "superseded"]
        assert (await first.result()).text.startswith("echo: rested")
        assert (await newest.result()).text.startswith("echo: four")
        assert await asked(ref) == ["call nap", "four"]


@virtual_time
async def test_steer_joins_the_turn_behind_its_tools_and_both_get_its_answer() -> None:
    model = ScriptedModel([NAP, "for both"])
    async with running(create_agent(model=model, instructions="", tools=[nap])) as runtime:
        ref, first = await busy(runtime, "one")
        second = await ref.submit("two", if_busy="steer")
        assert await first.result() == await second.result()
        assert [type(each).__name__ for each in model.requests[1].messages] == [
            "UserMessage",
            "AssistantMessage",
            "ToolResultMessage",
            "UserMessage",
        ]
        assert text_of(model.requests[1].messages[-1]) == "two"
        assert (await kinds_stored(runtime.store))[-3:] == ["assistant", "settled", "settled"]
        info = await ref.submission(second.submission_id)
        assert (info.outcome, info.attempts) == ("completed", 1)


@virtual_time
async def test_steer_waits_its_turn_where_no_tool_gives_it_an_opening() -> None:
    async with running(ECHO) as runtime:
        ref, first = await busy(runtime, "wait 5")
        second = await ref.submit("two", if_busy="steer")
        assert (await first.result()).text != (await second.result()).text
        assert (await second.result()).text.startswith("echo: two")


@virtual_time
async def test_steer_joins_only_its_own_session() -> None:
    async with running(LANES) as runtime:
        ref, first = await busy(runtime)
        other = await ref.session("other").submit("two", if_busy="steer")
        assert (await other.result()).text.startswith("echo: two")
        assert (await first.result()).text.startswith("echo: rested")


@virtual_time
async def test_a_dispatched_event_can_steer() -> None:
    model = ScriptedModel([NAP, "for both"])
    async with running(create_agent(model=model, instructions="", tools=[nap])) as runtime:
        ref, first = await busy(runtime, "one")
        receipt = await ref.dispatch({"n": 1}, if_busy="steer")
        assert await ref.wait(receipt) == await first.result()


@virtual_time
async def test_what_joined_before_a_crash_is_still_answered_together_after_it() -> None:
    model = ScriptedModel([NAP, NAP, "for both"])
    async with machine(create_agent(model=model, instructions="", tools=[nap])) as one:
        ref, first = await busy(await one.start(), "one")
        second = await ref.submit("two", if_busy="steer")
        await asyncio.sleep(12)
        ref = (await one.restart()).ref("agent", "u1")
        told = [await ref.wait(each.submission_id) for each in (first, second)]
        assert [each.text for each in told] == ["for both", "for both"]
        assert await asked(ref) == ["one", "two"]
        assert [(await one.row(each.submission_id)).attempt for each in (first, second)] == [2, 2]


@virtual_time
async def test_merge_makes_one_turn_of_what_waits_side_by_side() -> None:
    async with running(ECHO) as runtime:
        ref, _ = await busy(runtime)
        merged = [await ref.submit(text, if_busy="merge") for text in ("one", "two", "three")]
        told = await asyncio.gather(*[each.result() for each in merged])
        assert told[0] == told[1] == told[2]
        assert await asked(ref) == ["call nap", "one", "two", "three"]
        assert (await kinds_stored(runtime.store))[-4:] == ["assistant", "settled", "settled", "settled"]


@virtual_time
@pytest.mark.parametrize("between", ["queue", "dispatch", "session"])
async def test_merge_joins_neighbours_only(between: str) -> None:
    async with running(ECHO) as runtime:
        ref, _ = await busy(runtime)
        first = await ref.submit("one", if_busy="merge")
        if between == "queue":
            await ref.submit("not me")
        elif between == "dispatch":
            await ref.dispatch("not me", if_busy="merge")
        else:
            await ref.session("other").submit("not me", if_busy="merge")
        last = await ref.submit("two", if_busy="merge")
        assert await first.result() != await last.result()


@virtual_time
async def test_a_merged_turn_that_a_crash_cut_off_is_resumed_whole() -> None:
    async with machine(ECHO) as one:
        ref, _ = await busy(await one.start(), "wait 5")
        merged = [await ref.submit(text, if_busy="merge") for text in ("one", "wait 20")]
        await asyncio.sleep(10)
        ref = (await one.restart()).ref("agent", "u1")
        told = [await ref.wait(each.submission_id) for each in merged]
        assert told[0] == told[1]
        assert await asked(ref) == ["wait 5", "one", "wait 20"]


@virtual_time
@pytest.mark.parametrize("policy", ["interrupt", "supersede", "reject"])
async def test_with_a_lane_per_session_busy_means_the_session(policy: IfBusy) -> None:
    async with running(LANES) as runtime:
        ref, first = await busy(runtime)
        other = await ref.session("other").submit("hello", if_busy=policy)
        assert (await other.result()).text.startswith("echo: hello")
        assert (await first.result()).text.startswith("echo: rested")


@virtual_time
async def test_without_lanes_another_session_is_interrupted_too() -> None:
    async with running(ECHO) as runtime:
        ref, first = await busy(runtime)
        await ref.session("other").submit("hello", if_busy="interrupt")
        assert await reason(first) == "interrupted"


@virtual_time
async def test_nothing_is_interrupted_by_a_message_that_is_refused() -> None:
    async with running(create_agent(model="scripted/echo", instructions="", tools=[nap], max_queued=1)) as runtime:
        ref, first = await busy(runtime)
        with pytest.raises(Exception, match="wait"):
            await ref.submit("two", if_busy="interrupt")
        assert (await first.result()).text.startswith("echo: rested")


def bursting(seconds: float = 2) -> Any:
    return create_agent(model="scripted/echo", instructions="", debounce=seconds)


@virtual_time
async def test_a_burst_is_answered_once_it_is_over() -> None:
    async with running(bursting()) as runtime:
        ref = runtime.ref("agent", "u1")
        sent: list[Submitted] = []
        for text in ("one", "two", "three"):
            sent.append(await ref.submit(text))
            await asyncio.sleep(1)
        told = await asyncio.gather(*[each.result() for each in sent])
        assert asyncio.get_running_loop().time() == pytest.approx(4, abs=0.1)
        assert told[0] == told[1] == told[2]
        assert await texts(ref) == ["one", "two", "three", "echo: three (3 messages)"]


@virtual_time
async def test_a_burst_that_does_not_end_is_answered_after_ten_times_as_long() -> None:
    async with running(bursting()) as runtime:
        ref = runtime.ref("agent", "u1")
        first = await ref.submit("0")
        for number in range(1, 30):
            await asyncio.sleep(1)
            await ref.submit(str(number))
            if (await ref.submission(first.submission_id)).status == "settled":
                break
        assert asyncio.get_running_loop().time() == pytest.approx(20, abs=1.1)


@virtual_time
async def test_a_dispatched_event_does_not_wait_for_a_burst_to_end() -> None:
    async with running(bursting(50)) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.wait(await ref.dispatch("now"))
        assert asyncio.get_running_loop().time() < 1
