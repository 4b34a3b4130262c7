"""A process killed in the middle of its work, for real: what it acknowledged is there, and goes on."""

import subprocess
import sys
from pathlib import Path

from flue_actors import create_agent, sqlite
from flue_actors.messages import AssistantMessage, SignalMessage, UserMessage, text_of
from tests.runtime.support import running

ECHO = create_agent(model="scripted/echo", instructions="Echo.")
PROGRAM = """
import asyncio, sys
from flue_actors import Runtime, create_agent, sqlite
from flue_actors.events import TextDelta

async def main():
    agent = create_agent(model="scripted/echo?rate=1&size=1", instructions="Echo.")
    async with Runtime({"agent": agent}, store=sqlite(sys.argv[1])) as runtime:
        ref = runtime.ref("agent", "u1")
        first = await ref.submit("first", watch=True)
        await ref.submit("second")
        receipt = await ref.dispatch("third")
        async for batch in first.feed.batches():
            if any(isinstance(event, TextDelta) for event in batch):
                print(receipt.submission_id, flush=True)

asyncio.run(main())
"""


async def test_after_a_kill_the_cut_off_turn_goes_on_and_what_waited_is_worked_on(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(file)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        dispatched = process.stdout.readline().strip()
        process.kill()
    store = sqlite(file)
    async with running(ECHO, store=store) as runtime:
        ref = runtime.ref("agent", "u1")
        answer = await ref.prompt("last")
        messages = [entry.message for entry in await ref.history()]
        row = await store.submission(dispatched)
    assert [text_of(each) for each in messages if isinstance(each, UserMessage)] == ["first", "second", "last"]
    told = [each.type for each in messages if isinstance(each, SignalMessage)]
    assert told in (["dispatch_input"], ["stream_interrupted", "dispatch_input"])  # a piece is kept every second
    assert row is not None
    assert row.outcome == "completed"
    replies = [text_of(each) for each in messages if isinstance(each, AssistantMessage)]
    assert replies[0].startswith("echo: first") or told[0] == "stream_interrupted"
    assert answer.text == f"echo: last ({len(messages) - 1} messages)"
