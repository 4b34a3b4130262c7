import asyncio

import pytest

from flue_actors import create_agent
from flue_actors.definition.settings import Settings
from flue_actors.errors import ReaderTooSlowError
from flue_actors.events import Event, Idle, TurnRequest
from tests.runtime.support import kinds, running, virtual_time, watch

ECHO = create_agent(model="scripted/echo", instructions="Echo.")


async def test_observers_see_what_is_not_public_and_the_feed_does_not() -> None:
    seen: list[Event] = []
    async with running(ECHO) as runtime:
        stop = runtime.observe(seen.append)
        shown = await watch(runtime.ref("agent", "u1"), "hello")
        stop()
        await runtime.ref("agent", "u1").prompt("unseen")
    (observed,) = [event for event in seen if isinstance(event, TurnRequest)]
    (public,) = [event for event in shown if isinstance(event, TurnRequest)]
    assert observed.input
    assert not public.input
    assert sum(isinstance(event, Idle) for event in seen) == 1


async def test_full_events_show_the_whole_message_at_every_step() -> None:
    full = create_agent(model="scripted/echo?size=4", instructions="Secret words.", public_events="full")
    async with running(full) as runtime:
        events = await watch(runtime.ref("agent", "u1"), "hello")
    assert "message_update" in kinds(events)
    (request,) = [event for event in events if isinstance(event, TurnRequest)]
    assert "Secret words." in request.input.system_prompt  # type: ignore[union-attr]


async def test_an_observer_that_leaves_takes_nothing_from_the_others() -> None:
    async with running(ECHO) as runtime:
        seen: list[Event] = []
        leave = runtime.observe(lambda _: leave())
        runtime.observe(seen.append)
        await runtime.ref("agent", "u1").prompt("hello")
    assert [event.event_index for event in seen] == list(range(len(seen)))


async def test_observing_twice_and_leaving_twice_are_told_apart() -> None:
    async with running(ECHO) as runtime:
        seen: list[Event] = []
        leave = runtime.observe(seen.append)
        runtime.observe(seen.append)
        leave()
        leave()
        await runtime.ref("agent", "u1").prompt("hello")
    assert sum(isinstance(event, Idle) for event in seen) == 1


async def test_a_stream_that_lost_events_says_so() -> None:
    paced = create_agent(model="scripted/paced?deltas=9000&rate=0&size=1", instructions="")
    async with running(paced) as runtime:
        with pytest.raises(ReaderTooSlowError):
            await watch(runtime.ref("agent", "u1"), "hello")


@virtual_time
async def test_no_offset_of_a_session_is_used_twice_also_after_passivation() -> None:
    async with running(ECHO, settings=Settings(passivate_after=60)) as runtime:
        ref = runtime.ref("agent", "u1")
        seen = [event.offset for event in await watch(ref, "one")]
        await asyncio.sleep(200)
        assert runtime.snapshot().actors.actors == ()
        seen += [event.offset for event in await watch(ref, "two")]
    assert len(set(seen)) == len(seen)
