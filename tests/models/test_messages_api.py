"""The local Messages-API server itself: other suites take its word for what the API accepts."""

import asyncio
import sys
from typing import Any

import pytest

from flue_actors.errors import ModelOverloadedError
from flue_actors.models.registry import ModelRegistry
from tests.messages_api import Settings
from tests.messages_api.validation import refusal
from tests.models.helpers import MODEL, anthropic_model, asking, events_of, reply_of, streamed

CALL: dict[str, Any] = {"type": "tool_use", "id": "c1", "name": "add", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "c1"}
MARK = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}


def _body(*contents: Any, **fields: Any) -> dict[str, Any]:
    """Turns alternate, beginning with the user."""
    roles = ("user", "assistant")
    messages = [{"role": roles[index % 2], "content": content} for index, content in enumerate(contents)]
    return {"model": "m", "max_tokens": 4096, "messages": messages} | fields


@pytest.mark.parametrize(
    "body",
    [
        _body("hi"),
        _body("hi", "hello", "and?"),
        _body("go", [CALL], [RESULT, {"type": "text", "text": "and?"}]),
        _body([MARK], system=[MARK, MARK, MARK]),
        _body("hi", thinking={"type": "enabled", "budget_tokens": 1024}),
    ],
)
def test_a_valid_request_is_accepted(body: dict[str, Any]) -> None:
    assert refusal(body) is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (_body(), "at least one message"),
        (_body("hi") | {"max_tokens": None}, "max_tokens"),
        (_body(" "), "non-empty"),
        (_body([]), "empty"),
        (_body("go", [CALL], "and?"), "tool_use without tool_result"),
        (_body("go", [CALL]), "no tool_result"),
        (_body("go", "hm", [RESULT]), "tool_use without tool_result"),
        (_body("go", [CALL], [{"type": "text", "text": "and?"}, RESULT]), "come first"),
        (_body([MARK, MARK], system=[MARK, MARK, MARK]), "cache_control"),
        (_body("hi", thinking={"type": "enabled", "budget_tokens": 4096}), "budget_tokens"),
        (_body("hi", thinking={"type": "enabled", "budget_tokens": 1}), "budget_tokens"),
        (_body("hi", tools=[{"name": "a", "input_schema": {"type": "object"}}] * 2), "unique"),
        (_body("hi", tools=[{"name": "a b", "input_schema": {"type": "object"}}]), "valid name"),
    ],
)
def test_what_the_api_refuses_is_refused(body: dict[str, Any], why: str) -> None:
    assert why in (refusal(body) or "")


async def test_a_text_can_ask_for_a_fault_at_its_first_attempts() -> None:
    async with anthropic_model() as (model, server):
        for _ in range(2):
            with pytest.raises(ModelOverloadedError):
                await events_of(model.client, asking("fail 529 x2"))
        assert await reply_of(model.client, asking("fail 529 x2"))
        assert server.count == 3


async def test_deltas_have_the_size_and_the_pace_that_were_set() -> None:
    async with anthropic_model(Settings(deltas=10, size=4, rate=200)) as (model, _):
        clock = asyncio.get_running_loop().time
        started = clock()
        assert len(streamed(await events_of(model.client, asking("hi")))) == 40
        assert clock() - started >= 10 / 200


async def test_it_runs_as_a_process_of_its_own() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.messages_api", "--deltas", "3", "--bare", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    registry = ModelRegistry()
    try:
        url = (await process.stdout.readline()).decode().strip()
        registry.configure_provider("anthropic", base_url=url, api_key="k")
        events = await events_of(registry.resolve(f"anthropic/{MODEL}").client, asking("hi"))
        assert len(streamed(events)) == 60
    finally:
        await registry.aclose()
        process.terminate()
        await process.wait()
