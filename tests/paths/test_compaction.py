"""Compaction: asked for, and forced by a context that is too long. The conversation goes on."""

from pathlib import Path

import pytest

from flue_actors import Compaction
from tests.paths.stage import staged

SMALL = Compaction(keep_recent_tokens=200)
LONG = "lorem ipsum dolor sit amet " * 60
"""About 400 tokens."""


async def test_a_conversation_goes_on_from_its_summary(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, compaction=SMALL) as stage:
        async with stage.open(transport) as person:
            for number in range(4):
                await person.say(f"answer noted {number}\n{LONG}")
            assert await stage.ref.compact("the numbers")
            shown = await person.say("hello")
            await stage.evict()
        await stage.restart()
        async with stage.open(transport) as person:
            again = await person.say("hello again")
        assert not await stage.ref.compact() or stage.api is not None
    assert "echo: hello" in shown.text
    assert "echo: hello again" in again.text


@pytest.mark.parametrize("window", [3000])
async def test_what_does_not_fit_is_summarised_and_asked_again(
    window: int, model: str, transport: str, tmp_path: Path
) -> None:
    config = {"compaction": Compaction(automatic=False, keep_recent_tokens=200)}
    async with staged(model, tmp_path, window=window, **config) as stage, stage.open(transport) as person:
        outcomes = [await person.say(f"answer noted {number}\n{LONG}") for number in range(10)]
    assert [each.text for each in outcomes] == [f"noted {number}" for number in range(10)]
