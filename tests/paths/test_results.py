"""Structured results: with the tools finish and give_up, and where the provider promises the shape."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest

from flue_actors import tool
from flue_actors.errors import ResultUnavailableError
from flue_actors.turns.result_asking import FOLLOW_UPS
from tests.paths.scripts import call, one_by_one
from tests.paths.shapes import NATIVE, TOOLS
from tests.paths.stage import staged
from tests.paths.transports import Transport


@tool
async def look() -> str:
    """Look."""
    return "looked"


PEOPLE: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 1}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
KIEL = {"city": "Kiel", "people": 247_000}
SAID = 'answer {"city": "Kiel", "people": 247000}'

WITH_TOOLS: dict[str, tuple[str, Any]] = {
    "valid": (call("finish", **KIEL), KIEL),
    "invalid then valid": (one_by_one(call("finish", city="Kiel", people=0), call("finish", **KIEL)), KIEL),
    "after tools": (one_by_one(call("look"), call("finish", **KIEL)), KIEL),
    "given up": (call("give_up", reason="no such city"), "result_unavailable"),
    "text for ever": ("I do not know.", "result_unavailable"),
}
NATIVELY: dict[str, tuple[str, Any]] = {
    "valid": (SAID, KIEL),
    "after tools": (one_by_one(call("look"), SAID), KIEL),
    "text for ever": ("I do not know.", "result_unavailable"),
}


async def heard(person: Transport, paths: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    """What came of each path: the result, or the error."""
    outcomes = {path: await person.say(said, result=PEOPLE) for path, (said, _) in paths.items()}
    return {path: outcome.error or outcome.data for path, outcome in outcomes.items()}


async def test_a_result_is_given_with_tools(model: str, carrying: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, name=TOOLS[model], tools=[look]) as stage, stage.open(carrying) as person:
        assert await heard(person, WITH_TOOLS) == {path: expected for path, (_, expected) in WITH_TOOLS.items()}
        if stage.api is not None:
            asked = [each.body for each in stage.api.requests]
            assert not any("output_config" in each for each in asked)
            assert {each["name"] for body in asked for each in body["tools"]} == {"finish", "give_up", "look"}
            assert len(asked) == 1 + 2 + 2 + 1 + FOLLOW_UPS + 1


async def test_a_result_is_promised_by_the_provider(model: str, carrying: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, name=NATIVE[model], tools=[look]) as stage, stage.open(carrying) as person:
        assert await heard(person, NATIVELY) == {path: expected for path, (_, expected) in NATIVELY.items()}
        if stage.api is not None:
            asked = [each.body for each in stage.api.requests]
            assert all(each["output_config"]["format"]["type"] == "json_schema" for each in asked)
            assert {each["name"] for body in asked for each in body["tools"]} == {"look"}
            assert len(asked) == 1 + 2 + FOLLOW_UPS + 1


async def test_a_shape_that_the_provider_cannot_promise_is_asked_for_with_tools(
    model: str, carrying: str, tmp_path: Path
) -> None:
    open_ended = {"type": "object", "additionalProperties": {"type": "integer"}}
    async with staged(model, tmp_path, name=NATIVE[model]) as stage, stage.open(carrying) as person:
        outcome = await person.say(call("finish", Kiel=1, Bonn=2), result=open_ended)
    assert outcome.data == {"Kiel": 1, "Bonn": 2}


class AsStruct(msgspec.Struct):
    city: str
    people: int


@dataclass
class AsDataclass:
    city: str
    people: int


class AsTypedDict(TypedDict):
    city: str
    people: int


class AsPydantic(pydantic.BaseModel):
    city: str
    people: int


@pytest.mark.parametrize("shape", [AsStruct, AsDataclass, AsTypedDict, AsPydantic])
@pytest.mark.parametrize("kind", ["tools", "native"])
async def test_in_process_a_result_has_the_type_that_was_asked_for(
    kind: str, shape: type[Any], model: str, tmp_path: Path
) -> None:
    name, said = (NATIVE[model], SAID) if kind == "native" else (TOOLS[model], call("finish", **KIEL))
    async with staged(model, tmp_path, name=name) as stage:
        answer = await stage.ref.prompt(said, result=shape)
    assert answer.data == shape(**KIEL)


@pytest.mark.parametrize("said", [call("give_up", reason="no such city"), "I do not know."])
async def test_in_process_no_result_is_an_error(said: str, model: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path, name=TOOLS[model]) as stage:
        with pytest.raises(ResultUnavailableError):
            await stage.ref.prompt(said, result=AsStruct)
