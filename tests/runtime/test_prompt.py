import asyncio

import pytest

from flue_actors import create_agent, memory_store
from flue_actors.definition.settings import Settings
from flue_actors.errors import (
    InvalidRequestError,
    ModelError,
    ModelOverloadedError,
    ModelRefusedError,
    NotStartedError,
    OverloadedError,
    QueueFullError,
    SessionBusyError,
    UnknownAgentError,
)
from flue_actors.messages import text_of
from flue_actors.runtime import Runtime
from flue_actors.session import MANY
from tests.runtime.support import kinds, running, virtual_time, watch

ECHO = create_agent(model="scripted/echo", instructions="Echo.")


async def test_a_prompt_is_answered() -> None:
    async with running(ECHO) as runtime:
        answer = await runtime.ref("agent", "u1").prompt("hello")
    assert answer.text == "echo: hello (1 messages)"
    assert answer.model.provider == "scripted"
    assert answer.usage.total_tokens > 0


async def test_the_next_prompt_of_the_same_id_sees_the_first() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("one")
        assert (await ref.prompt("two")).text == "echo: two (3 messages)"


async def test_ids_and_sessions_do_not_see_each_other() -> None:
    async with running(ECHO) as runtime:
        await runtime.ref("agent", "u1").prompt("one")
        assert "(1 messages)" in (await runtime.ref("agent", "u2").prompt("x")).text
        assert "(1 messages)" in (await runtime.ref("agent", "u1").session("other").prompt("x")).text


async def test_history_is_the_messages_in_order() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("one")
        history = await ref.history()
        assert [text_of(entry.message) for entry in history] == ["one", "echo: one (1 messages)"]
        later = await ref.history(after=history[0].offset)
        assert [entry.offset for entry in later] == [history[1].offset]


async def test_the_conversation_goes_on_in_the_next_runtime() -> None:
    store = memory_store()
    for expected in ("(1 messages)", "(3 messages)"):
        async with running(ECHO, store=store) as runtime:
            assert expected in (await runtime.ref("agent", "u1").prompt("hi")).text


async def test_fifty_parallel_prompts_are_answered_in_the_order_of_acceptance() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        answers = await asyncio.gather(*[ref.prompt(f"n{i}") for i in range(50)])
    assert [answer.text for answer in answers] == [f"echo: n{i} ({2 * i + 1} messages)" for i in range(50)]


async def test_events_come_in_the_order_of_the_wire_contract() -> None:
    async with running(ECHO) as runtime:
        events = await watch(runtime.ref("agent", "u1"), "hello")
    assert kinds(events) == [
        "operation_start",
        "agent_start",
        "turn_start",
        "turn_request",
        "message_start",
        "text_delta",
        "message_end",
        "turn_end",
        "turn",
        "agent_end",
        "operation",
        "idle",
    ]
    assert [event.event_index for event in events] == list(range(len(events)))


async def test_the_outcome_is_known_before_the_feed_ends() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        await watch(ref, "hello")
        assert (await ref.status()).state == "idle"


@pytest.mark.parametrize("message", ["", "  \n", "\ud800"])
async def test_a_message_that_says_nothing_is_refused_and_nothing_is_kept(message: str) -> None:
    store = memory_store()
    async with running(ECHO, store=store) as runtime:
        with pytest.raises(InvalidRequestError):
            await runtime.ref("agent", "u1").prompt(message)
        assert await store.unsettled() == []
        assert runtime.snapshot().pending == 0


@pytest.mark.parametrize("id", ["", " ", "x" * 513, "\udcff"])
async def test_an_impossible_id_is_refused(id: str) -> None:
    async with running(ECHO) as runtime:
        with pytest.raises(InvalidRequestError):
            await runtime.ref("agent", id).prompt("hi")


async def test_a_task_session_cannot_be_addressed() -> None:
    async with running(ECHO) as runtime:
        with pytest.raises(InvalidRequestError):
            await runtime.ref("agent", "u1").session("task:x").prompt("hi")


async def test_an_unknown_agent_is_refused() -> None:
    async with running(ECHO) as runtime:
        with pytest.raises(UnknownAgentError):
            runtime.ref("nobody", "u1")


async def test_a_runtime_that_has_not_started_takes_nothing() -> None:
    with pytest.raises(NotStartedError):
        await Runtime({"agent": ECHO}).ref("agent", "u1").prompt("hi")


@virtual_time
async def test_reject_refuses_while_the_instance_is_busy() -> None:
    async with running(create_agent(model="scripted/echo?rate=1", instructions="")) as runtime:
        ref = runtime.ref("agent", "u1")
        first = await ref.submit("hello")
        with pytest.raises(SessionBusyError):
            await ref.prompt("again", if_busy="reject")
        await first.result()
        assert await ref.prompt("again", if_busy="reject")


@virtual_time
async def test_more_than_max_queued_inputs_are_refused_with_a_time_to_come_back() -> None:
    agent = create_agent(model="scripted/echo?rate=1", instructions="")
    async with running(agent, settings=Settings(max_queued=2)) as runtime:
        ref = runtime.ref("agent", "u1")
        waiting = [await ref.submit(f"n{i}") for i in range(2)]
        with pytest.raises(QueueFullError) as refusal:
            await ref.prompt("one too many")
        assert (refusal.value.retry_after or 0) >= 1
        for each in waiting:
            await each.result()
        assert await ref.prompt("now")


@virtual_time
async def test_a_sender_who_leaves_does_not_stop_the_work() -> None:
    async with running(create_agent(model="scripted/echo?rate=1", instructions="")) as runtime:
        ref = runtime.ref("agent", "u1")
        sender = asyncio.ensure_future(ref.prompt("hello"))
        await asyncio.sleep(0.5)
        sender.cancel()
        assert "(3 messages)" in (await ref.prompt("next")).text


@virtual_time
async def test_status_tells_what_runs_and_how_much_waits() -> None:
    async with running(create_agent(model="scripted/echo?rate=1", instructions="")) as runtime:
        ref = runtime.ref("agent", "u1")
        assert (await ref.status()).state == "idle"
        first, second = await ref.submit("one"), await ref.submit("two")
        await asyncio.sleep(0.5)
        status = await ref.status()
        assert (status.state, status.queued) == ("running", 1)
        assert [each.submission_id for each in status.running] == [first.submission_id]
        await second.result()
        assert (await ref.status()).state == "idle"


@virtual_time
async def test_an_overload_is_retried_and_each_try_is_seen() -> None:
    async with running(ECHO) as runtime:
        events = await watch(runtime.ref("agent", "u1"), "fail 529 x2")
        assert kinds(events).count("turn_start") == 3
        warnings = [event for event in events if getattr(event, "level", "") == "warn"]
        assert [event.attributes["attempt"] for event in warnings] == [1, 2]  # type: ignore[union-attr]


@virtual_time
async def test_an_overload_that_lasts_is_a_typed_failure_and_the_session_stays_usable() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        with pytest.raises(ModelOverloadedError):
            await ref.prompt("fail 529")
        assert (await ref.prompt("hello")).text.startswith("echo: hello")


@virtual_time
async def test_a_refused_request_is_not_retried() -> None:
    async with running(ECHO) as runtime:
        events = await watch(runtime.ref("agent", "u1"), "fail 400")
        assert kinds(events).count("turn_start") == 1
        assert kinds(events)[-2:] == ["operation", "error"]


@virtual_time
async def test_a_silent_model_is_given_up_after_the_idle_timeout() -> None:
    async with running(ECHO, settings=Settings(stream_idle_timeout=5)) as runtime:
        with pytest.raises(ModelError):
            await runtime.ref("agent", "u1").prompt("hang")
        assert asyncio.get_running_loop().time() > 4 * 5


@virtual_time
async def test_text_of_a_try_that_broke_off_is_closed_before_the_next_one() -> None:
    async with running(ECHO) as runtime:
        events = await watch(runtime.ref("agent", "u1"), "half x1")
        assert kinds(events).count("message_start") == kinds(events).count("message_end") == 2
        stops = [
            event.message.stop_reason for event in events if hasattr(event, "message") and "End" in type(event).__name__
        ]  # type: ignore[union-attr]
        assert stops[0] == "error"


async def test_a_model_that_declines_is_a_failure_by_that_name() -> None:
    async with running(ECHO) as runtime:
        with pytest.raises(ModelRefusedError):
            await runtime.ref("agent", "u1").prompt("refuse")


async def test_a_long_history_is_read_whole_and_in_order() -> None:
    async with running(ECHO) as runtime:
        ref = runtime.ref("agent", "u1")
        for number in range(MANY // 2 + 1):
            await ref.prompt(f"message {number}")
        found = await ref.history()
        assert [text_of(each.message) for each in found[::2]] == [f"message {n}" for n in range(MANY // 2 + 1)]
        assert await ref.history(after=found[0].offset) == found[1:]


@virtual_time
async def test_all_instances_together_have_so_many_inputs_under_way_and_no_more() -> None:
    slow = create_agent(model="scripted/echo?rate=1&size=1", instructions="")
    async with running(slow, settings=Settings(max_pending=2)) as runtime:
        under_way = [await runtime.ref("agent", f"u{number}").submit("wait") for number in range(2)]
        with pytest.raises(OverloadedError):
            await runtime.ref("agent", "u3").prompt("one too many")
        for each in under_way:
            await each.result()
        assert await runtime.ref("agent", "u3").prompt("now")
