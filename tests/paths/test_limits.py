"""Caps: reached with their name, and with a last answer."""

from pathlib import Path

import msgspec
import pytest

from flue_actors import Limits, define_agent_profile, tool
from tests.paths.scripts import call
from tests.paths.stage import staged


@tool
async def look() -> str:
    """Look."""
    return "looked"


@tool
async def flood() -> str:
    """Say very much."""
    return "x" * 5_000


CAPS: dict[str, Limits] = {
    "turn_limit": Limits(turns=3),
    "token_limit": Limits(tokens=300),
    "cost_limit": Limits(cost=0.001),
    "instance_limit": Limits(total_tokens=300),
}


@pytest.mark.parametrize("cap", CAPS)
async def test_a_cap_ends_the_work_with_its_name(cap: str, model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, tools=[look], limits=CAPS[cap]) as stage, stage.open(transport) as person:
        outcome = await person.say("loop look")
        after = await person.say("answer later")
    if cap == "cost_limit" and model == "scripted":
        cap = "internal_error"  # it has no prices, and only the developer can change that
    assert outcome.error == cap
    assert after.error == (cap if cap in ("instance_limit", "internal_error") else None)


@pytest.mark.parametrize("cap", ["turn_limit", "token_limit"])
async def test_at_a_cap_the_model_may_answer_once_more_without_tools(
    cap: str, model: str, transport: str, tmp_path: Path
) -> None:
    limits = msgspec.structs.replace(CAPS[cap], last_answer=True)
    async with staged(model, tmp_path, tools=[look], limits=limits) as stage, stage.open(transport) as person:
        outcome = await person.say("loop look")
        after = await person.say("answer later")
        if stage.api is not None:
            assert "tool_choice" not in stage.api.requests[0].body
            assert stage.api.requests[-2].body["tool_choice"] == {"type": "none"}
    assert (outcome.error, outcome.stop_reason) == (None, cap)
    assert "Not run: the " in outcome.text
    assert after.text == "later"


async def test_a_cap_counts_the_work_of_subagents(model: str, transport: str, tmp_path: Path) -> None:
    worker = define_agent_profile(name="worker", description="Works.", tools=[look])
    async with staged(model, tmp_path, subagents=[worker], limits=Limits(turns=6)) as stage:
        async with stage.open(transport) as person:
            outcome = await person.say(call("task", agent="worker", prompt="loop look"))
            calls = len(await stage.results())
    assert (outcome.error, calls) == ("turn_limit", 1)


async def test_of_a_tools_flood_the_model_is_shown_a_part(model: str, transport: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, tools=[flood], limits=Limits(tool_output=1_000)) as stage:
        async with stage.open(transport) as person:
            outcome = await person.say(call("flood"))
    assert outcome.text.count("x") <= 1_001
    assert "[cut: 5000 bytes in all, 1000 shown]" in outcome.text


async def test_a_prompt_of_a_program_has_caps_tools_and_a_model_of_its_own(model: str, tmp_path: Path) -> None:
    other = {"scripted": "scripted/jokes", "anthropic": "anthropic/claude-sonnet-4-5"}[model]
    async with staged(model, tmp_path) as stage:
        answer = await stage.ref.prompt(
            "loop look", model=other, thinking_level="high", tools=[look], limits=Limits(turns=2, last_answer=True)
        )
        plain = await stage.ref.prompt("answer later")
        if stage.api is not None:
            asked = [each.body for each in stage.api.requests]
            assert [each["model"] for each in asked] == ["claude-sonnet-4-5"] * 3 + ["claude-haiku-4-5"]
            assert [each["thinking"]["budget_tokens"] for each in asked] == [16_384] * 3 + [8_192]
            assert ["tools" in each for each in asked] == [True, True, True, False]
    assert (answer.stop_reason, answer.model.id) == ("turn_limit", other.partition("/")[2])
    assert plain.model.id != answer.model.id
