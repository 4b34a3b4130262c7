"""Models that take their reasoning back only behind the very history it came from."""

import pytest

from flue_actors.errors import ModelError
from flue_actors.messages import Message
from flue_actors.models.catalog import ANTHROPIC, ModelInfo
from flue_actors.models.protocol import ModelRequest, ThinkingLevel
from flue_actors.models.registry import ModelRegistry
from tests.messages_api import MessagesServer, Settings, messages_server
from tests.messages_api.binding import BETA
from tests.models.helpers import asking, assistant, events_of, reply_of, result, tool, user

BOUND = "claude-opus-5-5"


async def _told_to(
    server: MessagesServer,
    request: ModelRequest,
    *,
    info: ModelInfo | None = None,
    headers: dict[str, str] | None = None,
) -> None:
    registry = ModelRegistry()
    models = ANTHROPIC if info is None else {request.model: info}
    registry.register_provider(
        "p", api="anthropic-messages", base_url=server.url, api_key="k", models=models, headers=headers
    )
    try:
        await events_of(registry.resolve(f"p/{request.model}").client, request)
    finally:
        await registry.aclose()


async def _history(server: MessagesServer, model: str) -> list[Message]:
    """A conversation whose first reply reasoned and called a tool."""
    registry = ModelRegistry()
    registry.configure_provider("anthropic", base_url=server.url, api_key="k")
    script = "think it over\ncall add"
    reply = await reply_of(registry.resolve(f"anthropic/{model}").client, asking(script, model=model))
    await registry.aclose()
    call_id = next(block.id for block in reply.content if hasattr(block, "id"))
    return [user(script), assistant(*reply.content, model=model), result(call_id, "3")]


@pytest.mark.parametrize("model", [name for name, info in ANTHROPIC.items() if info.bound_thinking])
async def test_a_changed_history_is_answered_all_the_same(model: str) -> None:
    async with messages_server(Settings(bound=True)) as server:
        history = await _history(server, model)
        levels: list[ThinkingLevel] = ["medium", "off"]
        for level in levels:
            changed = asking(*history, model=model, thinking=level, tools=(tool("another"),), instructions="Anew.")
            await _told_to(server, changed)


async def test_the_check_refuses_whoever_does_not_ask_for_mercy() -> None:
    async with messages_server(Settings(bound=True)) as server:
        history = await _history(server, BOUND)
        unaware = ModelInfo(1_000_000, 128_000, "adaptive")
        await _told_to(server, asking(*history, model=BOUND), info=unaware)
        with pytest.raises(ModelError):
            await _told_to(server, asking(*history, model=BOUND, instructions="Anew."), info=unaware)


async def test_reasoning_stays_in_the_history_while_the_model_reasons_and_stays_out_when_it_does_not() -> None:
    async with messages_server(Settings(bound=True)) as server:
        model = "claude-haiku-5-5"
        history = await _history(server, model)
        await _told_to(server, asking(*history, model=model))
        await _told_to(server, asking(*history, model=model, thinking="off"))
        kinds = [
            [block["type"] for block in request.body["messages"][1]["content"]]
            for request in list(server.requests)[-2:]
        ]
        assert kinds == [["thinking", "tool_use"], ["tool_use"]]


async def test_the_header_joins_those_that_were_configured_and_goes_to_no_other_model() -> None:
    async with messages_server() as server:
        headers = {"Anthropic-Beta": "files-api-2025-04-14"}
        await _told_to(server, asking("hi", model=BOUND), headers=headers)
        await _told_to(server, asking("hi", model="claude-opus-5"), headers=headers)
        assert server.requests[0].headers["anthropic-beta"] == f"files-api-2025-04-14,{BETA}"
        assert server.requests[1].headers["anthropic-beta"] == "files-api-2025-04-14"
        assert "block_binding" not in server.requests[1].body["thinking"]
