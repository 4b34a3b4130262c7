"""Caps: reached, and reached with a last answer."""

from pathlib import Path

import pytest

from flue_actors import Limits, tool
from tests.paths.stage import staged


@tool
async def look() -> str:
    """Look."""
    return "looked"


async def test_a_cap_ends_the_work_with_its_name(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, tools=[look], limits=Limits(turns=3)) as stage, stage.open(transport) as person:
        outcome = await person.say("loop look")
        after = await person.say("answer later")
    assert (outcome.error, after.text) == ("turn_limit", "later")


@pytest.mark.parametrize(("limits", "reason"), [(Limits(turns=3), "turn_limit"), (Limits(tokens=300), "token_limit")])
async def test_at_a_cap_the_model_may_answer_once_more_without_tools(
    limits: Limits, reason: str, model: str, transport: str, tmp_path: Path
) -> None:
    last = Limits(turns=limits.turns, tokens=limits.tokens, last_answer=True)
    async with staged(model, tmp_path, tools=[look], limits=last) as stage, stage.open(transport) as person:
        outcome = await person.say("loop look")
        after = await person.say("answer later")
        if stage.api is not None:
            assert "tool_choice" not in stage.api.requests[0].body
            assert stage.api.requests[-2].body["tool_choice"] == {"type": "none"}
    assert (outcome.error, outcome.stop_reason) == (None, reason)
    assert "Not run: the " in outcome.text
    assert after.text == "later"
