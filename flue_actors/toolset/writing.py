"""The tools ``write`` and ``edit``. Those that change the same file wait for each other."""

import asyncio
from typing import Annotated, Final

import msgspec

from flue_actors.definition.tools import ToolAnswer, ToolContext, tool
from flue_actors.errors import ToolError

LARGEST: Final = 32 * 1024 * 1024
"""Characters of a file after an edit: more could not be read again, and one letter replaced by a long text makes terabytes."""

_LARGE: Final = 1024 * 1024
"""Bytes from which on a file is edited in a thread: 8 MiB take 100 ms."""

_BOM = "\ufeff"
_Path = Annotated[str, msgspec.Meta(description="The file, relative to the working directory or absolute.")]


@tool
async def write(
    path: _Path,
    content: Annotated[str, msgspec.Meta(description="Everything the file shall hold.")],
    context: ToolContext,
) -> ToolAnswer:
    """Write a file: a new one, with the directories above it, or in place of what it held."""
    data = content.encode(errors="replace")
    sandbox = context.sandbox
    await sandbox.opened()
    async with sandbox.locked(path):
        await sandbox.write(path, data)
    return ToolAnswer(text=f"Wrote {len(data)} bytes to {path}.", details={"path": path, "size": len(data)})


@tool
async def edit(
    path: _Path,
    oldText: Annotated[str, msgspec.Meta(description="What to replace, exactly as it stands in the file.")],
    newText: Annotated[str, msgspec.Meta(description="What to put there.")],
    context: ToolContext,
    replaceAll: Annotated[bool, msgspec.Meta(description="Replace every occurrence, not just the only one.")] = False,
) -> ToolAnswer:
    """Replace a piece of a text file. The old text must occur exactly once, unless replaceAll is set."""
    sandbox = context.sandbox
    await sandbox.opened()
    async with sandbox.locked(path):
        data = await sandbox.read(path)
        if len(data) > _LARGE:
            new, count = await asyncio.to_thread(_edited, path, data, oldText, newText, replaceAll)
        else:
            new, count = _edited(path, data, oldText, newText, replaceAll)
        await sandbox.write(path, new)
    done = "1 replacement" if count == 1 else f"{count} replacements"
    return ToolAnswer(text=f"Edited {path}: {done}.", details={"path": path, "replacements": count})


def _edited(path: str, data: bytes, old: str, new: str, every: bool) -> tuple[bytes, int]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ToolError(f"{path} is not UTF-8 text.") from None
    done, count = replaced(text, old, new, every=every)
    return done.encode(errors="replace"), count


def replaced(text: str, old: str, new: str, *, every: bool = False) -> tuple[str, int]:
    """The text with one piece (or ``every`` such piece) replaced, and how many were. Pure.

    Line ends and a byte order mark stay as the file has them: a model writes ``\\n``, whatever it edits.

    Raises:
        ToolError: The old text is not there, is there more than once, nothing would change, or too much would come of it.
    """
    if not old:
        raise ToolError("oldText is empty; to make a whole file, use write.")
    mark = _BOM if text.startswith(_BOM) else ""
    body, old, new = text.removeprefix(mark), old.removeprefix(_BOM), new.removeprefix(_BOM)
    if "\r\n" in body and (old not in body or body.count("\n") == body.count("\r\n")):
        old, new = (piece.replace("\r\n", "\n").replace("\n", "\r\n") for piece in (old, new))
    count = body.count(old) if old else 0
    if count == 0:
        raise ToolError("oldText was not found in the file. Check it letter by letter, white space too.")
    if count > 1 and not every:
        raise ToolError(f"oldText occurs {count} times. Give more of what is around it, or set replaceAll.")
    if old == new:
        raise ToolError("newText is the same as oldText; nothing was changed.")
    if len(body) + count * (len(new) - len(old)) > LARGEST:
        raise ToolError(f"The file would be larger than {LARGEST >> 20} MiB; nothing was changed.")
    return mark + body.replace(old, new), count
