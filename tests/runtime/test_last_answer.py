"""A cap with `last_answer`: the model is asked once more, without tools, and says what it has."""

import pytest

from flue_actors import Limits, create_agent, tool
from flue_actors.errors import TurnLimitError
from flue_actors.testing import FlueRuntime, ScriptedModel, calls, in_virtual_time


@tool
async def look(x: int) -> str:
    """Look."""
    return f"seen {x}"


AGENT = create_agent(model="scripted/echo", tools=[look], limits=Limits(turns=2, last_answer=True))


@in_virtual_time
async def test_at_the_cap_the_model_answers_with_what_it_has(flue_runtime: FlueRuntime) -> None:
    model = ScriptedModel([calls("look", x=1), calls("look", x=2), "Seen: 1."])
    async with flue_runtime({"agent": AGENT}, models=model) as machine:
        answer = await machine.ref("agent", "a").prompt("Look.")
    assert (answer.text, answer.stop_reason) == ("Seen: 1.", "turn_limit")
    assert [request.use_tools for request in model.requests] == [True, True, False]


@in_virtual_time
async def test_a_cap_of_one_prompt_leaves_that_as_it_is_unless_it_says_otherwise(flue_runtime: FlueRuntime) -> None:
    model = ScriptedModel([calls("look", x=1), "Nothing.", calls("look", x=1)])
    async with flue_runtime({"agent": AGENT}, models=model) as machine:
        agent = machine.ref("agent", "a")
        assert (await agent.prompt("Look.", limits=Limits(turns=1))).text == "Nothing."
        with pytest.raises(TurnLimitError):
            await agent.prompt("Look.", limits=Limits(turns=1, last_answer=False))
