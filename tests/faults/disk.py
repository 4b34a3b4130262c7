"""The disk under SQLite, watched: every write, truncation, sync and deletion can be recorded, or made to fail.

The library that Python's own ``sqlite3`` uses is asked for its file system (a "VFS"); a copy of it becomes the default
one, whose files have four of their methods replaced. So the code under test is SQLite's and the store's own, unchanged.
"""

import _sqlite3
import ctypes
from collections.abc import Callable, Generator
from contextlib import contextmanager
from ctypes import POINTER, c_char_p, c_int, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

NAME = b"watched-by-the-tests"
OK = 0

Action = Literal["write", "truncate", "sync", "delete"]


class Deed(msgspec.Struct, frozen=True):
    """Something done to a file. ``offset`` is the new size of a truncated one."""

    action: Action
    file: str
    offset: int = 0
    data: bytes = b""


class Watcher(Protocol):
    """Is asked before and told after everything that is done to a file. Called in whatever thread SQLite runs in."""

    def refuse(self, action: Action, file: str) -> int:
        """An SQLite result code that it fails with, or `OK`."""
        ...

    def done(self, deed: Deed) -> None:
        """It succeeded."""
        ...


_Close = ctypes.CFUNCTYPE(c_int, c_void_p)
_Write = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = ctypes.CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = ctypes.CFUNCTYPE(c_int, c_void_p, c_int)
_Open = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
_Delete = ctypes.CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)


class _FileMethods(ctypes.Structure):
    """``sqlite3_io_methods``, versions 1 to 3."""

    _fields_ = [
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        ("others", c_void_p * 13),
    ]


class _File(ctypes.Structure):
    """``sqlite3_file``: whatever follows is the original's own."""

    _fields_ = [("methods", POINTER(_FileMethods))]


class _FileSystem(ctypes.Structure):
    """``sqlite3_vfs``, versions 1 to 3."""

    _fields_ = [
        ("version", c_int),
        ("file_size", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        ("others", c_void_p * 14),
    ]


@cache
def library() -> ctypes.CDLL | None:
    """The SQLite that ``import sqlite3`` uses; None where it is not to be reached (built into the interpreter)."""
    try:
        found = ctypes.CDLL(_sqlite3.__file__)  # symbols of the libraries it is linked to are found through it
        found.sqlite3_vfs_find.restype = POINTER(_FileSystem)
        found.sqlite3_vfs_find.argtypes = [c_char_p]
        found.sqlite3_vfs_register.argtypes = [c_void_p, c_int]
        found.sqlite3_vfs_unregister.argtypes = [c_void_p]
    except (AttributeError, OSError):
        return None
    return found


UNREACHABLE = "the SQLite library of this Python cannot be reached from outside"


def watch(watcher: Watcher) -> Callable[[], None]:
    """Databases opened from now on, by anybody in this process, are on a watched disk until they are closed.

    Returns:
        What ends it for databases opened later.
    """
    sqlite = library()
    assert sqlite is not None, UNREACHABLE
    disk = _Disk(sqlite.sqlite3_vfs_find(None), watcher)
    _KEPT.append(disk)
    sqlite.sqlite3_vfs_register(ctypes.byref(disk.system), 1)
    return lambda: sqlite.sqlite3_vfs_unregister(ctypes.byref(disk.system))


@contextmanager
def watched(watcher: Watcher) -> Generator[None]:
    """`watch` inside the block."""
    end = watch(watcher)
    try:
        yield
    finally:
        end()


_KEPT: list["_Disk"] = []
"""A file may be closed later, and needs the functions it calls."""


class _Disk:
    def __init__(self, original: Any, watcher: Watcher) -> None:
        self._original = original
        self._watcher = watcher
        self._names: dict[int, str] = {}  # of open files, by address
        self._callbacks: list[Any] = []
        self._methods: dict[
            int, tuple[_FileMethods, _FileMethods]
        ] = {}  # original and ours, by address of the original
        system = _FileSystem.from_buffer_copy(original.contents)
        system.name = NAME
        system.open = self._callback(_Open, self._open)
        system.delete = self._callback(_Delete, self._delete)
        self.system = system

    def _callback(self, kind: Any, function: Any) -> int | None:
        callback = kind(function)
        self._callbacks.append(callback)
        return ctypes.cast(callback, c_void_p).value

    def _open(self, _system: int, name: int | None, file: int, flags: int, out: Any) -> int:
        # The name as it came: SQLite keeps the very pointer, and finds the options of the path behind it.
        opened = _Open(self._original.contents.open)(ctypes.addressof(self._original.contents), name, file, flags, out)
        if opened == OK and name:
            self._names[file] = Path(ctypes.string_at(name).decode()).name
            handle = ctypes.cast(file, POINTER(_File)).contents
            handle.methods = ctypes.pointer(self._watching(handle.methods))
        return opened

    def _watching(self, original: Any) -> _FileMethods:
        address = ctypes.addressof(original.contents)
        if address not in self._methods:
            theirs = original.contents
            ours = _FileMethods.from_buffer_copy(theirs)
            ours.close = self._callback(_Close, self._closer(_Close(theirs.close)))
            ours.write = self._callback(_Write, self._writer(_Write(theirs.write)))
            ours.truncate = self._callback(_Truncate, self._truncater(_Truncate(theirs.truncate)))
            ours.sync = self._callback(_Sync, self._syncer(_Sync(theirs.sync)))
            self._methods[address] = (theirs, ours)
        return self._methods[address][1]

    def _closer(self, original: Any) -> Any:
        def close(file: int) -> int:
            self._names.pop(file, None)
            return original(file)

        return close

    def _writer(self, original: Any) -> Any:
        def write(file: int, data: int, size: int, offset: int) -> int:
            name = self._names[file]
            code = self._watcher.refuse("write", name) or original(file, data, size, offset)
            if code == OK:
                self._watcher.done(Deed("write", name, offset, ctypes.string_at(data, size)))
            return code

        return write

    def _truncater(self, original: Any) -> Any:
        def truncate(file: int, size: int) -> int:
            name = self._names[file]
            code = self._watcher.refuse("truncate", name) or original(file, size)
            if code == OK:
                self._watcher.done(Deed("truncate", name, size))
            return code

        return truncate

    def _syncer(self, original: Any) -> Any:
        def sync(file: int, flags: int) -> int:
            name = self._names[file]
            code = self._watcher.refuse("sync", name) or original(file, flags)
            if code == OK:
                self._watcher.done(Deed("sync", name))
            return code

        return sync

    def _delete(self, _system: int, name: bytes, sync: int) -> int:
        file = Path(name.decode()).name
        code = self._watcher.refuse("delete", file) or _Delete(self._original.contents.delete)(
            ctypes.addressof(self._original.contents), name, sync
        )
        if code == OK:
            self._watcher.done(Deed("delete", file))
        return code
