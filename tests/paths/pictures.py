"""Pictures and a document, and how the Messages API is shown them."""

import base64
from collections.abc import Iterator
from typing import Any

from flue_actors.definition.attaching import File, Image

GIF = b"GIF89a" + bytes(range(200))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PDF = b"%PDF-1.7 a document"

PICTURE = Image(PNG, "image/png")
REPORT = File(PDF, "application/pdf", "report.pdf")
TABLE = File("städte\n3\n".encode(), "text/csv", "table.csv")


def text64(data: bytes) -> str:
    """As base64."""
    return base64.b64encode(data).decode()


def blocks(body: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The content blocks of this type in a request's messages, those in the results of tools too."""
    return [block for message in body["messages"] for block in _blocks(message["content"]) if block["type"] == kind]


def _blocks(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        return
    for block in content:
        yield block
        if block["type"] == "tool_result":
            yield from _blocks(block["content"])
