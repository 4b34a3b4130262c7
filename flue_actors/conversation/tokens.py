"""How large messages are before a provider has counted them. Pure.

Four bytes count as a token. Bytes, not characters: that is the same for English and code, and closer for scripts whose
letters take several bytes and about as many tokens as their share.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from flue_actors.messages import (
    AssistantContent,
    FileContent,
    ImageContent,
    Message,
    SignalMessage,
    TextContent,
    ThinkingContent,
    UserContent,
)

IMAGE_TOKENS: Final = 1200
"""What a picture, or a document that is not text, is taken for."""

_BYTES_A_TOKEN: Final = 4


def text_tokens(text: str) -> int:
    """About how many tokens this text has."""
    return -(-_size(text) // _BYTES_A_TOKEN)


def message_tokens(message: Message) -> int:
    """About how many tokens one message has."""
    if isinstance(message, SignalMessage):
        return text_tokens(message.content)
    return sum([_block_tokens(block) for block in message.content])


def estimate_tokens(messages: Iterable[Message]) -> int:
    """About how many tokens these messages have together."""
    return sum([message_tokens(message) for message in messages])


def _block_tokens(block: UserContent | AssistantContent) -> int:
    if isinstance(block, TextContent):
        return text_tokens(block.text)
    if isinstance(block, ThinkingContent):
        return text_tokens(block.thinking)
    if isinstance(block, ImageContent):
        return IMAGE_TOKENS
    if isinstance(block, FileContent):
        return -(-block.size // _BYTES_A_TOKEN) if block.mime_type.startswith("text/") else IMAGE_TOKENS
    arguments = block.invalid if block.invalid is not None else msgspec.json.encode(block.arguments)
    return -(-(len(block.name) + len(arguments)) // _BYTES_A_TOKEN)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
