"""Who is served first after a restart."""

import asyncio

from flue_actors import create_agent, memory_store
from flue_actors.conversation.entries import message_entry
from flue_actors.ids import AgentKey
from flue_actors.inputs import PromptInput, encode_input
from flue_actors.intake.backlog import AT_ONCE
from flue_actors.messages import TextContent, UserMessage
from flue_actors.runtime import Runtime
from flue_actors.storage import Admit, Append, Claim, Store, Submission
from tests.runtime.support import virtual_time

ECHO = create_agent(model="scripted/echo", instructions="Echo.")


async def cut_off(store: Store, *texts: str) -> None:
    """Leave one interrupted turn in each of the instances ``u0``, ``u1``, ..."""
    fence = await store.open()
    for number, text in enumerate(texts):
        key, id = AgentKey("agent", f"u{number}"), f"sub_{number}"
        asked = UserMessage(content=(TextContent(text=text),), timestamp=1)
        entry = message_entry(1, asked, "prompt", submission_id=id)
        payload = encode_input(PromptInput(text))
        await store.commit(
            fence,
            Admit(Submission(id=id, key=key, session="default", kind="direct", payload=payload, accepted_at=1)),
            Claim(submission_id=id, attempt=1, at=1),
            Append(key=key, session="default", entries=(entry,), submission_id=id, attempt=1),
        )
    await store.close()


@virtual_time
async def test_whoever_writes_is_served_before_what_hangs_of_the_others() -> None:
    store = memory_store()
    await cut_off(store, *["hang"] * (AT_ONCE + 10), "hello")
    async with Runtime({"agent": ECHO}, store=store) as runtime:
        await asyncio.sleep(1)
        ref = runtime.ref("agent", f"u{AT_ONCE + 10}")
        answer = await asyncio.wait_for(ref.prompt("are you there?"), 1)
        assert "are you there?" in answer.text
        assert runtime.snapshot().backlog == 10
        await runtime.stop(0)


@virtual_time
async def test_a_new_instance_is_answered_at_once_however_much_was_left() -> None:
    store = memory_store()
    await cut_off(store, *["hang"] * (AT_ONCE + 10))
    async with Runtime({"agent": ECHO}, store=store) as runtime:
        await asyncio.wait_for(runtime.ref("agent", "new").prompt("hello"), 1)
        assert runtime.snapshot().models["scripted"].background_waiting > 0
        await runtime.stop(0)
