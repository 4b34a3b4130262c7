"""The file methods of a sandbox whose files are a folder of the host: confined to it, off the event loop."""

import asyncio
import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from errno import EISDIR, ENOENT
from itertools import islice
from typing import Final

from flue_actors.errors import SandboxFileError
from flue_actors.sandboxes.beneath import Beneath, Make, Place
from flue_actors.sandboxes.protocol import DirEntry, FileKind, FileStat
from flue_actors.sandboxes.removal import remove_tree

LARGEST_READ: Final = 32 << 20
"""Bytes of the largest file that is read whole."""

LONGEST_LIST: Final = 100_000
"""Names of the largest directory that is listed."""

_SHOWN_PATH: Final = 200  # characters of a path in a message


class ConfinedFiles:
    """Files beneath one folder.

    A file that has a second name outside (a hard link) can be read: whoever made that name could read it, and package
    managers link their caches into projects so. It is never changed: `write` puts a new file in the place of the old
    one, which also means that a reader sees the old or the new content, nothing between.

    Args:
        folder: The real path on the host.
        shown: By what absolute path callers call it.
        owner: (uid, gid) that new files and directories are given to; None: whoever we are.
    """

    def __init__(self, folder: str, *, shown: str, owner: tuple[int, int] | None = None) -> None:
        self._beneath = Beneath(folder, shown)
        self._make = Make(owner)
        self._owner = owner
        self._shown = shown

    async def read(self, path: str) -> bytes:
        """See `Sandbox.read`."""
        return await asyncio.to_thread(self._read, path)

    async def write(self, path: str, data: bytes) -> None:
        """See `Sandbox.write`. Once begun it is finished, cancelled or not: it shall not overtake the next one."""
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, path, data))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing})
            raise

    async def stat(self, path: str) -> FileStat | None:
        """See `Sandbox.stat`."""
        return await asyncio.to_thread(self._stat, path)

    async def list(self, path: str) -> tuple[DirEntry, ...]:
        """See `Sandbox.list`."""
        return await asyncio.to_thread(self._list, path)

    async def mkdir(self, path: str) -> None:
        """See `Sandbox.mkdir`."""
        await asyncio.to_thread(self._mkdir, path)

    async def remove(self, path: str, *, recursive: bool) -> None:
        """See `Sandbox.remove`."""
        await asyncio.to_thread(self._remove, path, recursive)

    async def directory(self, path: str) -> str:
        """The absolute path, without links, of a directory that is there."""
        return await asyncio.to_thread(self._directory, path)

    def _read(self, path: str) -> bytes:
        with _telling(path), self._beneath.find(path, follow=True) as place:
            name = _file(place)
            # O_NONBLOCK: should it have become a pipe since it was looked at, nobody waits for its other end.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, dir_fd=place.directory), "rb", buffering=0) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise SandboxFileError("It is not a regular file.")
                return _at_most(LARGEST_READ, file.fileno())

    def _write(self, path: str, data: bytes) -> None:
        with _telling(path), self._beneath.find(path, follow=True, make=self._make) as place:
            found = place.stat()
            if place.name is None or (found is not None and stat.S_ISDIR(found.st_mode)):
                raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
            if found is not None:
                _check_replaceable(place.name, place.directory, found)
            self._replace(place.name, place.directory, data, found)

    def _replace(self, name: str, directory: int, data: bytes, old: os.stat_result | None) -> None:
        fresh = f".{secrets.token_hex(8)}.flue-tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(fresh, flags, 0o666, dir_fd=directory)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
                self._hand_over(descriptor, old)
            os.rename(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(fresh, dir_fd=directory)
            raise

    def _hand_over(self, descriptor: int, old: os.stat_result | None) -> None:
        """The new file gets the owner and the permissions of the one it replaces; never its set-uid bits."""
        owner = self._owner if old is None else (old.st_uid, old.st_gid)
        if owner is not None and owner != (os.geteuid(), os.getegid()):
            with suppress(PermissionError):
                os.fchown(descriptor, *owner)
        if old is not None:
            os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & 0o777)

    def _stat(self, path: str) -> FileStat | None:
        with _telling(path):
            try:
                with self._beneath.find(path, follow=False) as place:
                    found = place.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        if found is None:
            return None
        return FileStat(kind=_kind(found.st_mode), size=found.st_size, modified=found.st_mtime)

    def _list(self, path: str) -> tuple[DirEntry, ...]:
        with (
            _telling(path),
            self._beneath.find(path, follow=True) as place,
            _opened(place) as directory,
            os.scandir(directory) as entries,
        ):
            found = [DirEntry(_text(entry.name), _entry_kind(entry)) for entry in islice(entries, LONGEST_LIST + 1)]
        if len(found) > LONGEST_LIST:
            raise SandboxFileError(f"{path}: The directory holds more than {LONGEST_LIST} names.")
        return tuple(sorted(found, key=lambda entry: entry.name))

    def _mkdir(self, path: str) -> None:
        with _telling(path), self._beneath.find(path, follow=True, make=self._make) as place:
            if place.name is not None:
                self._make(place.name, place.directory)
            with _opened(place):
                pass

    def _remove(self, path: str, recursive: bool) -> None:
        with _telling(path), self._beneath.find(path, follow=False) as place:
            if place.name is None:
                raise SandboxFileError("A directory cannot be removed by this name.")
            found = place.stat()
            if found is None:
                raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
            if not stat.S_ISDIR(found.st_mode):
                os.unlink(place.name, dir_fd=place.directory)
            elif recursive:
                remove_tree(place.name, place.directory)
            else:
                os.rmdir(place.name, dir_fd=place.directory)

    def _directory(self, path: str) -> str:
        with _telling(path), self._beneath.find(path, follow=True) as place, _opened(place):
            return "/".join((self._shown.rstrip("/"), *place.within)) or "/"


@contextmanager
def _opened(place: Place) -> Generator[int, None, None]:
    """The directory that the place is, open."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(place.name or ".", flags, dir_fd=place.directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _telling(path: str) -> Generator[None, None, None]:
    """Turn what the system says into what the model may read: the path as it was asked for, and the reason."""
    shown = path if len(path) <= _SHOWN_PATH else f"{path[:_SHOWN_PATH]}..."
    try:
        yield
    except SandboxFileError as error:
        raise SandboxFileError(f"{shown}: {error.message}") from error
    except OSError as error:
        raise SandboxFileError(f"{shown}: {error.strerror}.") from error
    except UnicodeEncodeError as error:
        raise SandboxFileError("The path is not valid text.") from error


def _file(place: Place) -> str:
    """The name of the regular file that the place is."""
    found = place.stat()
    if found is None:
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
    if place.name is None or stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise SandboxFileError("It is not a regular file.")
    return place.name


def _check_replaceable(name: str, directory: int, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise SandboxFileError("It is not a regular file.")
    if not os.access(name, os.W_OK, dir_fd=directory):
        raise SandboxFileError("It is write-protected.")


def _at_most(size: int, descriptor: int) -> bytes:
    pieces: list[bytes] = []
    left = size
    while piece := os.read(descriptor, min(left + 1, 1 << 20)):
        left -= len(piece)
        if left < 0:
            raise SandboxFileError(f"The file is larger than {size >> 20} MiB.")
        pieces.append(piece)
    return b"".join(pieces)


def _kind(mode: int) -> FileKind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"


def _entry_kind(entry: os.DirEntry[str]) -> FileKind:
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "directory"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


def _text(name: str) -> str:
    """A name that is not UTF-8 is shown with replacement characters: it could not be stored or sent otherwise."""
    return os.fsencode(name).decode("utf-8", "replace")
