"""Compaction: asked for, and forced by a context that is too long. The conversation goes on."""

import re
from pathlib import Path
from typing import Any

import pytest

from flue_actors import Compaction, define_agent_profile, tool
from flue_actors.messages import AssistantMessage
from tests.paths.pictures import PICTURE, blocks
from tests.paths.scripts import call
from tests.paths.stage import staged

LONG = "lorem ipsum dolor sit amet " * 60
"""About 400 tokens."""

MESSAGES = 5
SMALL = Compaction(automatic=False, keep_recent_tokens=200)


@tool
async def flood() -> str:
    """Say much: about 1,000 tokens."""
    return "word " * 800


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
    async with staged(model, tmp_path, window=3000, compaction=SMALL) as stage, stage.open(transport) as person:
        outcomes = [await person.say(f"answer noted {number}\n{LONG}") for number in range(10)]
        after = await person.say("hello")
    assert [each.text for each in outcomes] == [f"noted {number}" for number in range(10)]
    assert shown(after.text) < 20


@pytest.mark.parametrize("who", ["agent", "subagent"])
async def test_work_that_grows_too_long_goes_on_behind_notes_of_its_beginning(
    who: str, model: str, transport: str, tmp_path: Path
) -> None:
    """The script is in the message that is summarised: from there on the model only repeats what it is shown."""
    summaries = Compaction(automatic=False, keep_recent_tokens=200, model="scripted/jokes")
    worker = define_agent_profile(name="worker", description="Works.", tools=[flood], compaction=summaries)
    config: dict[str, Any] = {"tools": [flood]} if who == "agent" else {"subagents": [worker]}
    async with staged(model, tmp_path, window=4000, compaction=summaries, **config) as stage:
        async with stage.open(transport) as person:
            said = "loop flood x5"
            outcome = await person.say(said if who == "agent" else call("task", agent="worker", prompt=said))
    assert outcome.error is None
    assert "The task failed" not in outcome.text
    assert "word word" in outcome.text


async def test_pictures_of_what_was_summarised_are_not_shown_any_more(
    model: str, carrying: str, tmp_path: Path
) -> None:
    async with staged(model, tmp_path, compaction=SMALL) as stage, stage.open(carrying) as person:
        for number in range(MESSAGES):
            await person.say(f"answer noted {number}\n{LONG}", images=[PICTURE] if number == 0 else [])
        assert await stage.ref.compact()
        after = await person.say("hello", images=[PICTURE])
        if stage.api is not None:
            pictures = [len(blocks(each.body, "image")) for each in stage.api.requests]
            assert pictures == [1] * MESSAGES + [0, 1]
    assert after.error is None
