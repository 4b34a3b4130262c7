"""Short forms for model tests."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from flue_actors.messages import (
    AssistantContent,
    AssistantMessage,
    FileContent,
    ImageContent,
    Message,
    TextContent,
    ToolResultMessage,
    Usage,
    UserMessage,
)
from flue_actors.models.protocol import ModelClient, ModelEvent, ModelRequest, ReplyDone, TextDelta, ToolSpec
from flue_actors.models.registry import ModelRegistry, ResolvedModel
from tests.completions_api import ChatServer, ChatSettings, completions_server
from tests.messages_api import MessagesServer, Settings, messages_server

MODEL = "claude-haiku-4-5"

PNG = ImageContent(attachment="aa", mime_type="image/png", size=4)
PDF = FileContent(attachment="bb", mime_type="application/pdf", size=6, name="report.pdf")
CSV = FileContent(attachment="cc", mime_type="text/csv", size=8, name="table.csv")
FILES = {PNG.attachment: b"\x89PNG", PDF.attachment: b"%PDF-1", CSV.attachment: b"a,b\n1,2\n"}


def user(text: str) -> UserMessage:
    return UserMessage(content=(TextContent(text=text),), timestamp=0)


def assistant(*content: AssistantContent, api: str = "anthropic-messages", model: str = MODEL) -> AssistantMessage:
    return AssistantMessage(
        content=content,
        api=api,
        provider="anthropic",
        model=model,
        usage=Usage(),
        stop_reason="stop",
        timestamp=0,
    )


def result(call_id: str, text: str, *, is_error: bool = False) -> ToolResultMessage:
    return ToolResultMessage(
        tool_call_id=call_id,
        tool_name="add",
        content=(TextContent(text=text),) if text else (),
        is_error=is_error,
        timestamp=0,
    )


def tool(name: str, **properties: Any) -> ToolSpec:
    return ToolSpec(name, f"The tool {name}.", {"type": "object", "properties": properties})


def asking(*messages: Message | str, model: str = MODEL, **fields: Any) -> ModelRequest:
    """A request with these messages; a string is a user's text."""
    history = tuple(user(message) if isinstance(message, str) else message for message in messages)
    return ModelRequest(model=model, messages=history, **fields)


async def events_of(client: ModelClient, request: ModelRequest) -> list[ModelEvent]:
    return [event async for event in client.stream(request)]


async def reply_of(client: ModelClient, request: ModelRequest) -> ReplyDone:
    return done_of(await events_of(client, request))


def done_of(events: Sequence[ModelEvent]) -> ReplyDone:
    last = events[-1]
    assert isinstance(last, ReplyDone)
    return last


def streamed(events: Sequence[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@asynccontextmanager
async def anthropic_model(
    settings: Settings | None = None, *, max_concurrency: int = 64
) -> AsyncGenerator[tuple[ResolvedModel, MessagesServer]]:
    """The Anthropic client, through the registry and the real SDK, against a local server."""
    async with messages_server(settings) as server:
        registry = ModelRegistry(max_concurrency=max_concurrency)
        registry.configure_provider("anthropic", base_url=server.url, api_key="sk-canary")
        try:
            yield registry.resolve(f"anthropic/{MODEL}"), server
        finally:
            await registry.aclose()


@asynccontextmanager
async def chat_model(
    settings: ChatSettings | None = None, *, max_concurrency: int = 64, **fields: Any
) -> AsyncGenerator[tuple[ResolvedModel, ChatServer]]:
    """A chat-completions client, through the registry and the real SDK, against a local server of somebody else's."""
    async with completions_server(settings) as server:
        registry = ModelRegistry(max_concurrency=max_concurrency)
        url = f"{server.url}/v1"
        given = {"api_key": "sk-canary"} | fields
        registry.register_provider("local", api="openai-completions", base_url=url, **given)
        try:
            yield registry.resolve("local/small"), server
        finally:
            await registry.aclose()
