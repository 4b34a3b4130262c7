"""The model port: what the turn asks of a model, and what comes back.

A `ModelClient` turns one `ModelRequest` into a stream of `ModelEvent`s that ends with exactly one `ReplyDone`, or raises
`ModelError`. It performs **one** request: retries, concurrency and idle timeouts belong to `models.limiter` and
`session`, so every provider gets the same ones.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal, Protocol

import msgspec

from flue_actors.messages import AssistantContent, Message, StopReason, Usage

ThinkingLevel = Literal["off", "minimal", "low", "medium", "high", "xhigh"]


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as the model sees it. ``parameters`` is the JSON schema (an object schema)."""

    name: str
    description: str
    parameters: dict[str, Any]


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One model call, in prompt-cache order: tools, instructions, instance text, messages.

    Attributes:
        model: The provider's own model name (without the ``provider/`` part).
        instructions: Static text, equal for all instances of a definition.
        instance_text: Text of this instance (id, date, working directory), frozen by the session.
        messages: Context in order, starting with a user (or signal) message; tool results follow their calls.
        tools: Sorted by name, so equal sets are equal bytes.
        use_tools: False: it shall not call any of them. They are sent all the same, for the provider's cache.
        max_tokens: Upper bound of the reply; None = the model's own maximum.
        affinity: Stable key of the conversation, for providers that route by it.
        attachments: Bytes of every `ImageContent` and `FileContent` in ``messages``, by their ``attachment``.
        result_schema: JSON schema that the reply's text has to be an instance of, where the provider can promise that
            (`models.catalog.ModelInfo.native_results`). Never together with a ``finish`` tool.
    """

    model: str
    messages: tuple[Message, ...]
    instructions: str = ""
    instance_text: str = ""
    tools: tuple[ToolSpec, ...] = ()
    use_tools: bool = True
    thinking: ThinkingLevel = "medium"
    max_tokens: int | None = None
    affinity: str = ""
    attachments: Mapping[str, bytes] = {}
    result_schema: dict[str, Any] | None = None


class TextDelta(msgspec.Struct, frozen=True):
    """More text of the reply. Empty: the model is at work (on a long tool call), so it is not silent."""

    text: str


class ThinkingStart(msgspec.Struct, frozen=True):
    """A block of reasoning begins."""


class ThinkingDelta(msgspec.Struct, frozen=True):
    """More reasoning text."""

    text: str


class ThinkingEnd(msgspec.Struct, frozen=True):
    """The block of reasoning is whole."""

    text: str


class ReplyDone(msgspec.Struct, frozen=True, kw_only=True):
    """The whole reply; always the last event. ``usage.cost`` is the caller's to fill in, from the catalog."""

    content: tuple[AssistantContent, ...]
    stop_reason: StopReason
    usage: Usage


ModelEvent = TextDelta | ThinkingStart | ThinkingDelta | ThinkingEnd | ReplyDone


class ModelClient(Protocol):
    """One provider's way of answering."""

    @property
    def api(self) -> str:
        """The wire protocol's name, as in Flue's events: ``anthropic-messages``, ``scripted``."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Perform one request. Closing the iterator closes the provider's stream.

        Raises:
            ModelError: With ``retryable`` saying whether the same request may succeed later, and
                ``retry_after`` where the provider named a time.
        """
        ...

    async def aclose(self) -> None:
        """Close connections. Idempotent."""
        ...
