"""Compaction: asked for, and forced by a context that is too long. The conversation goes on."""

import re
from pathlib import Path

from flue_actors import Compaction
from flue_actors.messages import AssistantMessage
from tests.paths.stage import staged

LONG = "lorem ipsum dolor sit amet " * 60
"""About 400 tokens."""

MESSAGES = 5


def shown(text: str) -> int:
    """How many messages the model says it was shown."""
    return int(re.findall(r"\((\d+) messages\)", text)[-1])


async def test_a_conversation_goes_on_from_its_summary(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, compaction=Compaction(keep_recent_tokens=200)) as stage:
        async with stage.open(transport) as person:
            for number in range(MESSAGES):
                await person.say(f"answer noted {number}\n{LONG}")
            assert await stage.ref.compact("the numbers")
            next = await person.say("hello")
            await stage.evict()
            later = await person.say("are you there")
        await stage.restart()
        async with stage.open(transport) as person:
            at_last = await person.say("and now")
            kept = [each for each in await stage.messages() if isinstance(each, AssistantMessage)]
    assert shown(next.text) < 2 * MESSAGES
    assert [shown(each.text) - shown(next.text) for each in (later, at_last)] == [2, 4]
    assert "hello" in next.text
    assert len(kept) == MESSAGES + 3


async def test_what_does_not_fit_is_summarised_and_asked_again(model: str, transport: str, tmp_path: Path) -> None:
    small = Compaction(automatic=False, keep_recent_tokens=200)
    async with staged(model, tmp_path, window=3000, compaction=small) as stage, stage.open(transport) as person:
        outcomes = [await person.say(f"answer noted {number}\n{LONG}") for number in range(10)]
        after = await person.say("hello")
    assert [each.text for each in outcomes] == [f"noted {number}" for number in range(10)]
    assert shown(after.text) < 20
