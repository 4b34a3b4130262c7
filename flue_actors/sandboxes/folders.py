"""Which folder of the host an isolated sandbox works in, and whose it is."""

import asyncio
import hashlib
import os
import pwd
import tempfile
from asyncio.subprocess import DEVNULL
from pathlib import Path
from typing import Final
from urllib.parse import quote

from flue_actors.errors import SandboxError
from flue_actors.ids import AgentKey

_LONGEST_NAME: Final = 200  # bytes; file systems allow 255


def instance_folder(root: str, key: AgentKey) -> Path:
    """``<root>/<agent>/<id>``: another one for every key, whatever characters an id has."""
    return Path(root, _name(key.agent), _name(key.id))


def unprivileged() -> tuple[int, int] | None:
    """(uid, gid) for commands in folders that we make; None: ourselves, for we are not root."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return (65_534, 65_534)
    return (nobody.pw_uid, nobody.pw_gid)


def owner_of(folder: str) -> tuple[int, int] | None:
    """(uid, gid) for commands in a folder that is there; None: ourselves, for we are not root.

    Raises:
        SandboxError: It is no folder, or we are root and so is its owner. Root never runs a command: no limit of
            processes holds for root, and a flaw in the kernel's namespaces would give away the host.
    """
    if not os.path.isdir(folder):
        raise SandboxError("The sandbox's workspace does not exist.", dev=folder)
    if os.geteuid() != 0:
        return None
    found = os.stat(folder)
    if found.st_uid == 0:
        raise SandboxError(
            "The sandbox's workspace belongs to root.",
            details="Give the folder to another user (chown): isolated commands run as its owner.",
            dev=folder,
        )
    return (found.st_uid, found.st_gid)


def make_private(folder: Path, owner: tuple[int, int] | None) -> None:
    """Make the folder for its owner alone, unless it is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    if owner is not None:
        os.chown(folder, *owner)


def temporary(owner: tuple[int, int] | None) -> str:
    """A folder of its own, for its owner alone, until `discard`."""
    folder = tempfile.mkdtemp(prefix="flue-sandbox-")
    if owner is not None:
        os.chown(folder, *owner)
    return folder


async def discard(folder: str) -> None:
    """Remove a folder, also where a command has taken away our permission to look into it."""
    # Neither follows links, and both manage any depth. Processes, not a thread: a million files take a minute, and the
    # threads are everybody's.
    for words in (("/bin/chmod", "-R", "u+rwX"), ("/bin/rm", "-rf")):
        process = await asyncio.create_subprocess_exec(*words, "--", folder, stdout=DEVNULL, stderr=DEVNULL)
        await process.wait()


def _name(text: str) -> str:
    name = quote(text, safe="").replace(".", "%2E")
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 65]}-{hashlib.sha256(text.encode()).hexdigest()}"
