"""Where the whole of an output stays when the model is shown a part of it: files in the workspace, a bounded number."""

import posixpath
import re
from typing import Final

from flue_actors.errors import SandboxError
from flue_actors.sandboxes.workspace import Workspace

FOLDER: Final = ".flue-output"
"""Below the working directory: the file methods of every sandbox reach it, so ``read`` does."""

MOST: Final = 20


async def spill(sandbox: Workspace, name: str, data: bytes) -> str | None:
    """Keep an output as a file; the oldest ones go. Returns its path, or None when the sandbox does not take it."""
    path = posixpath.join(FOLDER, re.sub(r"[^A-Za-z0-9_-]", "_", name)[:100] + ".txt")
    try:
        folder = await sandbox.stat(FOLDER)
        if folder is not None and folder.kind != "directory":
            return None  # a link: the oldest files behind it are not ours to remove
        if folder is None:
            await sandbox.write(posixpath.join(FOLDER, ".gitignore"), b"*\n")
        await sandbox.write(path, data)
        await _forget_oldest(sandbox)
    except SandboxError:
        return None
    return path


async def _forget_oldest(sandbox: Workspace) -> None:
    paths = [posixpath.join(FOLDER, entry.name) for entry in await sandbox.list(FOLDER) if entry.name.endswith(".txt")]
    if len(paths) <= MOST:
        return
    ages = [(found.modified, path) for path in paths if (found := await sandbox.stat(path)) is not None]
    for _, path in sorted(ages)[: len(paths) - MOST]:
        await sandbox.remove(path)
