"""Removes a directory with all that is in it, however deep it nests, out of two open directories.

What walks down holds a directory open for every level, and a process may have so many only: a tree of a thousand levels
would take those that connections need. What walks up again by ``..`` can be led elsewhere by a rename. So directories
below are moved up beside each other first, and every one is emptied there. No link is followed.
"""

import os
import secrets


def remove_tree(name: str, directory: int) -> None:
    """Remove the directory of this name in an open directory.

    Raises:
        OSError: Something cannot be removed, or came while this went on; the rest may have another name and place.
    """
    top = _open(name, directory)
    try:
        waiting = _emptied(top, None)
        while waiting:
            inner = waiting.pop()
            opened = _open(inner, top)
            try:
                waiting += _emptied(opened, top)
            finally:
                os.close(opened)
            os.rmdir(inner, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=directory)


def _emptied(directory: int, into: int | None) -> list[str]:
    """Remove what is in it but directories; those are moved, if there is an ``into``. Returns the names they have then."""
    moved: list[str] = []
    for entry in os.listdir(directory):
        try:
            os.unlink(entry, dir_fd=directory)
        except (IsADirectoryError, PermissionError):  # EPERM is what macOS says of a directory
            if into is None:
                moved.append(entry)
            elif not _removed_empty(entry, directory):
                fresh = secrets.token_hex(16)
                os.rename(entry, fresh, src_dir_fd=directory, dst_dir_fd=into)
                moved.append(fresh)
    return moved


def _removed_empty(name: str, directory: int) -> bool:
    """True when it was an empty directory: one that is write-protected can be removed, but not be moved."""
    try:
        os.rmdir(name, dir_fd=directory)
    except OSError:
        return False
    return True


def _open(name: str, directory: int) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
