"""Takes a skill into the application: its folder is read once, and what must not travel with it is refused."""

import fnmatch
import inspect
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

from flue_actors.errors import ConfigError
from flue_actors.skills.frontmatter import parse_skill, shown
from flue_actors.skills.skill import Skill

LARGEST_FILE: Final = 1024 * 1024
LARGEST_SKILL: Final = 8 * 1024 * 1024
"""Bytes of all its files."""

MOST_FILES: Final = 1_000

SKIPPED: Final = frozenset(
    {".git", ".cache", ".turbo", ".wrangler", "dist", "node_modules", "__pycache__", ".venv", ".DS_Store"}
)
"""Directories and files that are left out."""

_SECRET_FOLDERS: Final = frozenset({".aws", ".gnupg", ".ssh"})
_SECRET_FILES: Final = (
    *(".env*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.ppk", "*.jks", "*.keystore", "*.kdbx"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "credentials*", ".credentials*", ".git-credentials"),
    *(".netrc", "_netrc", ".npmrc", ".pypirc", ".pgpass", ".htpasswd", ".dockercfg"),
)
_PRIVATE_KEY: Final = re.compile(rb"\s*(-----BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File-)")


def load_skill(path: str | os.PathLike[str]) -> Skill:
    """Read a skill of your project, to be given to an agent: ``create_agent(skills=[load_skill("skills/review")])``.

    Its files are read now and travel with the application. Skipped are `SKIPPED`; refused is what looks like a secret, what
    is no regular file, a link to a directory or out of the folder, a file of more than 1 MiB, and more than 8 MiB in all.

    Args:
        path: The skill's directory, or its ``SKILL.md``. A relative one is meant from the file that calls this (from the
            current folder where there is none, as in an interactive session).

    Raises:
        ConfigError: There is no skill, it breaks a rule, or something in it is refused; the message says what.
    """
    given = Path(path)
    if not given.is_absolute():
        given = _folder_of(inspect.currentframe()) / given
    folder = Path(os.path.abspath(given.parent if given.name == "SKILL.md" else given))
    try:
        files = _read(folder)
    except OSError as error:
        raise ConfigError(f'The skill "{folder.name}" cannot be read: {error.strerror}.', dev=str(error)) from error
    try:
        skill = parse_skill(files.pop("SKILL.md"), folder.name)
    except KeyError:
        raise ConfigError(f'There is no SKILL.md in "{folder.name}".', dev=str(folder)) from None
    return msgspec.structs.replace(skill, resources=files)


def _folder_of(frame: FrameType | None) -> Path:
    """Where the source file is that called this frame; the current folder where there is none (``<stdin>``)."""
    caller = frame.f_back if frame is not None else None
    source = caller.f_code.co_filename if caller is not None else ""
    return Path(source).resolve().parent if os.path.isfile(source) else Path.cwd()


def _read(folder: Path) -> dict[str, bytes]:
    """Every file of the folder: POSIX path below it to bytes."""
    files: dict[str, bytes] = {}
    root, total = Path(os.path.realpath(folder, strict=True)), 0
    for name, file in _files(root, folder.name):
        data = file.read_bytes()
        total += len(data)
        if _PRIVATE_KEY.match(data[:4096]):
            raise _refused(folder.name, name, "it holds a private key")
        if total > LARGEST_SKILL:
            raise ConfigError(f'The skill "{folder.name}" is larger than {LARGEST_SKILL // 2**20} MiB.')
        if len(files) == MOST_FILES:
            raise ConfigError(f'The skill "{folder.name}" has more than {MOST_FILES:,} files.')
        files[name] = data
    return files


def _files(root: Path, skill: str) -> Iterator[tuple[str, Path]]:
    """Its files in the order of their names, once they are found harmless; the name is the path below the folder."""
    folders = [root]
    while folders:
        for each in sorted(folders.pop().iterdir()):
            name = each.relative_to(root).as_posix()
            if each.name in SKIPPED:
                continue
            _check_name(skill, name)
            if each.is_dir() and not each.is_symlink():
                folders.append(each)
                continue
            _check_file(skill, name, each, root)
            yield name, each


def _check_name(skill: str, name: str) -> None:
    last = name.rpartition("/")[2].lower()
    if last in _SECRET_FOLDERS or any(fnmatch.fnmatchcase(last, each) for each in _SECRET_FILES):
        raise _refused(skill, name, "it looks like a secret")
    if not name.isprintable():
        raise _refused(skill, name, "its name cannot be shown")


def _check_file(skill: str, name: str, file: Path, root: Path) -> None:
    if file.is_symlink():
        target = Path(os.path.realpath(file))  # `Path.resolve` raises RuntimeError for links in a circle
        if not target.is_relative_to(root):
            raise _refused(skill, name, "it is a link out of the skill's folder")
        for part in target.relative_to(root).parts:
            if part in SKIPPED:
                raise _refused(skill, name, f'it is a link into "{part}"')
            _check_name(skill, part)
    found = file.stat()
    if stat.S_ISDIR(found.st_mode):
        raise _refused(skill, name, "it is a link to a directory")
    if not stat.S_ISREG(found.st_mode):
        raise _refused(skill, name, "it is no regular file")
    if found.st_size > LARGEST_FILE:
        raise _refused(skill, name, f"it is larger than {LARGEST_FILE // 2**20} MiB")


def _refused(skill: str, name: str, why: str) -> ConfigError:
    return ConfigError(f"The skill {shown(skill)} is refused because of its file {shown(name)}: {why}.")
