"""The tool ``read``: a part of a text file, a picture, or the names in a directory."""

import asyncio
from typing import Annotated, Final

import msgspec

from flue_actors.definition.attaching import IMAGE_TYPES, LARGEST, Image
from flue_actors.definition.tools import ToolAnswer, ToolContext, tool
from flue_actors.errors import SandboxFileError, ToolError
from flue_actors.sandboxes.protocol import DirEntry
from flue_actors.sandboxes.workspace import Workspace
from flue_actors.toolset.truncation import BYTES, LINES, head

LARGE: Final = 1024 * 1024
"""Bytes from which on a file is taken apart in a thread."""

_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b"))
_LOOKED_AT: Final = 8192
_BLOCK: Final = 64 * 1024


@tool(idempotent=True)
async def read(
    path: Annotated[str, msgspec.Meta(description="File or directory, relative to the working directory or absolute.")],
    context: ToolContext,
    offset: Annotated[int, msgspec.Meta(ge=1, description="Number of the first line to show, from 1.")] | None = None,
    limit: Annotated[int, msgspec.Meta(ge=1, description="How many lines to show.")] | None = None,
) -> ToolAnswer:
    """Show a text file, an image, or the names in a directory.

    At most 2000 lines or 50 KB at once; if there is more, the last line says with which offset to go on.
    """
    sandbox = context.sandbox
    found = await sandbox.stat(path)
    if found is None:
        raise SandboxFileError(f'There is no "{path}".')
    if found.kind == "directory" or (found.kind == "link" and await _is_directory(sandbox, path)):
        return _listing(path, await sandbox.list(path))
    data = await sandbox.read(path)
    if len(data) > LARGE:
        return await asyncio.to_thread(shown_file, path, data, offset, limit)
    return shown_file(path, data, offset, limit)


def shown_file(path: str, data: bytes, offset: int | None, limit: int | None) -> ToolAnswer:
    """What the model gets to see of a file. Pure.

    Raises:
        ToolError: It has fewer lines than ``offset``.
    """
    details = {"path": path, "lines": 0}
    mime_type = image_type(data)
    if mime_type is not None and len(data) <= LARGEST:
        images = (Image(data, mime_type),)
        return ToolAnswer(text=f"{path}: {mime_type}, {len(data)} bytes.", images=images, details=details)
    if is_binary(data):
        return ToolAnswer(text=f"{path} is no text: a binary file of {len(data)} bytes.", details=details)
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data:
        return ToolAnswer(text="(empty file)", details=details)
    return _part(path, data, offset or 1, LINES if limit is None else min(limit, LINES))


def image_type(data: bytes) -> str | None:
    """The MIME type of a picture that models can see, by how it begins."""
    for mime_type, starts in IMAGE_TYPES.items():
        if data.startswith(starts) and (mime_type != "image/webp" or data[8:12] == b"WEBP"):
            return mime_type
    return None


def is_binary(data: bytes) -> bool:
    """True of what a model cannot read as text: a NUL, or control characters in what is not UTF-8."""
    start = data[:_LOOKED_AT]
    if b"\0" in start:
        return True
    if len(start) == len(start.translate(None, _CONTROLS)):
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def _part(path: str, data: bytes, first: int, limit: int) -> ToolAnswer:
    """Only what is shown is decoded: the lines of a large file as a list would take twenty times its memory."""
    total = data.count(b"\n") + (0 if data.endswith(b"\n") else 1)
    if first > total:
        raise ToolError(f"{path} has {total} lines; there is no line {first}.")
    start = _start_of(data, first)
    text = data[start : start + BYTES + 4].decode(
        errors="replace"
    )  # so much more that `head` sees whether there is more
    shown = head(text, lines=limit)
    body = shown.text.removesuffix("\n")
    last = first - 1 + shown.lines
    details = {"path": path, "lines": shown.lines}
    if shown.lines == 1 and len(text.partition("\n")[0]) > len(body):
        end = data.find(b"\n", start)
        length = (end if end >= 0 else len(data)) - start
        note = f"[line {first} of {total} is {length} bytes long: its first {len(body.encode())} are shown"
        return ToolAnswer(text=f"{body}\n{note}{_go_on(last, total)}]", details=details)
    if last < total:
        body = f"{body}\n[lines {first}-{last} of {total}{_go_on(last, total)}]"
    return ToolAnswer(text=body, details=details)


def _start_of(data: bytes, line: int) -> int:
    """Where a line begins that is there; the first is 1."""
    at, before = 0, line - 1
    while (passed := data.count(b"\n", at, at + _BLOCK)) < before:
        before -= passed
        at += _BLOCK
    for _ in range(before):
        at = data.index(b"\n", at) + 1
    return at


def _go_on(last: int, total: int) -> str:
    return f"; go on with offset={last + 1}" if last < total else ""


def _listing(path: str, entries: tuple[DirEntry, ...]) -> ToolAnswer:
    names = [entry.name + ("/" if entry.kind == "directory" else "") for entry in entries]
    shown = head("\n".join(names) or "(empty directory)")
    note = f"\n[{shown.lines} of {len(names)} names]" if shown.is_cut else ""
    return ToolAnswer(text=shown.text.removesuffix("\n") + note, details={"path": path, "lines": shown.lines})


async def _is_directory(sandbox: Workspace, path: str) -> bool:
    try:
        await sandbox.list(path)
    except SandboxFileError:
        return False
    return True
