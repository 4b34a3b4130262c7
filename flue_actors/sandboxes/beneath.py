"""What a path means beneath one folder, and no way out of it: the walk that all file methods of host sandboxes take.

The kernel is asked for one component at a time, relative to the open directory that holds it, and never follows a link
by itself (``O_NOFOLLOW``). Links are read and their text is walked by the same rules; ``..`` is answered from the names
walked so far. So nothing has to be checked before it is used: a directory that is swapped for a link between two steps
is an error of the next step, and ``/proc/self/root`` is just text. The same calls exist on Linux and macOS, which is why
this is not ``openat2``: that would need a second way beside it.
"""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from errno import ELOOP, ENAMETOOLONG, ENOENT
from typing import Final

from flue_actors.errors import SandboxFileError

_MOST_LINKS: Final = 40  # as in Linux
_MOST_STEPS: Final = 5_000  # links that multiply each other end here, after well under a second
_DEEPEST: Final = 256
_LONGEST: Final = 4_096


class Place:
    """Where a path leads: a name in an open directory.

    Attributes:
        directory: Descriptor of the directory.
        name: The entry, which may not be there; None when the path means the directory itself.
        within: The names from the folder down to what the path means; no links, no dots.
    """

    __slots__ = ("directory", "name", "within")

    def __init__(self, directory: int, name: str | None, within: tuple[str, ...]) -> None:
        self.directory = directory
        self.name = name
        self.within = within

    def stat(self) -> os.stat_result | None:
        """Of the entry itself; None: it is not there."""
        if self.name is None:
            return os.fstat(self.directory)
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None


class Beneath:
    """A folder of the host, and the absolute path by which paths and links call it (in a namespace, another one)."""

    def __init__(self, folder: str, shown: str) -> None:
        self._folder = folder
        self._shown = _parts(shown)

    @contextmanager
    def find(self, path: str, *, follow: bool, make: "Make | None" = None) -> Generator[Place, None, None]:
        """Walk to what the path means; its directory is open inside the ``with``.

        Args:
            follow: Whether a link at the end of the path is followed, as those on the way are.
            make: Makes directories on the way that are not there.

        Raises:
            SandboxFileError: It leads outside.
            OSError: It cannot be walked. No file name in it is of the host.
        """
        if len(path) > _LONGEST:
            raise OSError(ENAMETOOLONG, os.strerror(ENAMETOOLONG))
        walk = _Walk(self._folder, self._shown, make)
        try:
            yield walk.to(path, follow=follow)
        finally:
            walk.close()


class Make:
    """How missing directories are made: `owner` is (uid, gid) to give them to."""

    def __init__(self, owner: tuple[int, int] | None = None) -> None:
        self._owner = owner

    def __call__(self, name: str, directory: int) -> None:
        """Make one. One that was made meanwhile is fine."""
        try:
            os.mkdir(name, dir_fd=directory)
        except FileExistsError:
            return
        if self._owner is not None:
            os.chown(name, *self._owner, dir_fd=directory, follow_symlinks=False)


class _Walk:
    """One walk. ``_matched`` counts components of the folder's own path: below their number, we stand above the folder."""

    def __init__(self, folder: str, shown: tuple[str, ...], make: Make | None) -> None:
        self._folder = folder
        self._shown = shown
        self._make = make
        self._matched = len(shown)
        self._names: list[str] = []
        self._here = self._root()
        self._links = 0
        self._steps = 0

    def close(self) -> None:
        os.close(self._here)

    def to(self, path: str, *, follow: bool) -> Place:
        self._check(path)
        pending = self._begin(path)
        while pending:
            self._count_step()
            part = pending.pop()
            if self._matched < len(self._shown):
                self._approach(part)
            elif part == "..":
                self._up()
            elif (target := self._link(part)) is not None and (pending or follow):
                self._count_link()
                pending += self._begin(target)
            elif pending:
                self._down(part)
            else:
                return Place(self._here, part, (*self._names, part))
        if self._matched < len(self._shown):
            raise _outside()
        return Place(self._here, None, tuple(self._names))

    def _begin(self, path: str) -> list[str]:
        """The components still to walk, last first. An absolute path starts anew."""
        if path.startswith("/"):
            self._matched = 0
            self._go_to([])
        return list(reversed(_parts(path)))

    def _approach(self, part: str) -> None:
        """Above the folder nothing is looked at: its own path is the only way on."""
        if part == "..":
            self._matched = max(0, self._matched - 1)
        elif part == self._shown[self._matched]:
            self._matched += 1
        else:
            raise _outside()

    def _up(self) -> None:
        if self._names:
            self._go_to(self._names[:-1])
        else:
            self._matched = max(0, self._matched - 1)

    def _go_to(self, names: list[str]) -> None:
        """Walk down again from the folder: cheaper than to keep every directory on the way open."""
        self._enter(self._root(), [])
        for name in names:
            self._down(name)

    def _down(self, name: str) -> None:
        if len(self._names) >= _DEEPEST:
            raise OSError(ENAMETOOLONG, os.strerror(ENAMETOOLONG))
        try:
            inner = self._open(name)
        except FileNotFoundError:
            if self._make is None:
                raise
            self._make(name, self._here)
            inner = self._open(name)
        self._enter(inner, [*self._names, name])

    def _open(self, name: str) -> int:
        return os.open(name, _directory_flags(), dir_fd=self._here)

    def _root(self) -> int:
        try:
            return os.open(self._folder, _directory_flags())
        except OSError as error:
            raise SandboxFileError("The workspace is not there any more.") from error

    def _enter(self, directory: int, names: list[str]) -> None:
        os.close(self._here)
        self._here = directory
        self._names = names

    def _link(self, name: str) -> str | None:
        """Where a link points; None: it is none."""
        try:
            found = os.stat(name, dir_fd=self._here, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return os.readlink(name, dir_fd=self._here) if stat.S_ISLNK(found.st_mode) else None

    def _check(self, path: str) -> None:
        if "\0" in path:
            raise OSError(ENOENT, os.strerror(ENOENT))

    def _count_link(self) -> None:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(ELOOP, os.strerror(ELOOP))

    def _count_step(self) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise OSError(ELOOP, os.strerror(ELOOP))


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part not in ("", "."))


def _directory_flags() -> int:
    return os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _outside() -> SandboxFileError:
    return SandboxFileError("The path leads outside of the workspace.")
