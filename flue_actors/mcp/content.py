"""What an MCP tool answered, as a model reads it. Pure."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, Final

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)

from flue_actors.definition.attaching import MOST, Image
from flue_actors.definition.tools import ToolAnswer
from flue_actors.errors import InvalidRequestError, ToolError

EMPTY: Final = "(The tool answered nothing.)"


def answer_of(result: CallToolResult) -> ToolAnswer:
    """Structured content first, as JSON; then texts; pictures as pictures, where models read their type.

    Raises:
        ToolError: The tool says that it failed; with its words.
    """
    if result.is_error:
        raise ToolError(_text(result.structured_content, result.content) or "The tool failed and does not say why.")
    images: list[Image] = []
    rest: list[ContentBlock] = []
    for block in result.content:
        image = _image(block) if len(images) < MOST else None
        if image is None:
            rest.append(block)
        else:
            images.append(image)
    text = _text(result.structured_content, rest)
    return ToolAnswer(text=text or ("" if images else EMPTY), images=tuple(images))


def _text(structured: Any, blocks: Sequence[ContentBlock]) -> str:
    parts = [] if structured is None else [json.dumps(structured, indent=2, ensure_ascii=False)]
    # Servers repeat structured content as text, for clients that do not read it.
    parts += [_block(each) for each in blocks if structured is None or not _repeats(each, structured)]
    return "\n\n".join([part for part in parts if part])


def _repeats(block: ContentBlock, structured: Any) -> bool:
    if not isinstance(block, TextContent):
        return False
    try:
        return json.loads(block.text) == structured
    except (ValueError, RecursionError):
        return False


def _block(block: ContentBlock) -> str:
    match block:
        case TextContent():
            return block.text
        case ImageContent():
            return f"[Image: {block.mime_type}, {len(block.data)} base64 chars]"
        case AudioContent():
            return f"[Audio: {block.mime_type}, {len(block.data)} base64 chars]"
        case ResourceLink():
            return _link(block)
        case EmbeddedResource():
            return _resource(block)


def _link(link: ResourceLink) -> str:
    about = f"{link.title or link.name}, {link.uri}"
    kind = f", {link.mime_type}" if link.mime_type else ""
    return f"[Resource link: {about}{kind}]" + (f"\n{link.description}" if link.description else "")


def _resource(block: EmbeddedResource) -> str:
    resource = block.resource
    kind = f", {resource.mime_type}" if resource.mime_type else ""
    if isinstance(resource, BlobResourceContents):
        return f"[Resource: {resource.uri}{kind}, {len(resource.blob)} base64 chars]"
    return f"[Resource: {resource.uri}{kind}]\n{resource.text}"


def _image(block: ContentBlock) -> Image | None:
    if not isinstance(block, ImageContent):
        return None
    try:
        return Image(base64.b64decode(block.data, validate=True), block.mime_type)
    except (binascii.Error, ValueError, InvalidRequestError):
        return None  # of another type, too large, or not what it says
