"""What a disk may hold after the power failed: everything that was synced, and any part of what was written since. Pure.

Writes between two syncs of a file reach the disk in any order or not at all, each in sectors of 512 bytes; so do changes
of its size. A file that was never synced may be there or not. A deletion stays or is undone.
"""

import random
from collections.abc import Iterator, Sequence

import msgspec

from tests.faults.disk import Deed

SECTOR = 512


class Promise(msgspec.Struct, frozen=True):
    """At this place of the recording somebody was told this.

    Attributes:
        entries: (session, seq) that are stored, with all before them.
        admitted, journaled, settled: Inputs that are stored, have a row in their journal, have their outcome.
        erased: Texts that are in no file any more.
    """

    entries: tuple[tuple[str, int], ...] = ()
    admitted: tuple[str, ...] = ()
    journaled: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()
    erased: tuple[str, ...] = ()


class Image(msgspec.Struct, frozen=True):
    """The files after a power loss in front of recording[place], and what had been promised until then."""

    place: int
    files: dict[str, bytes]
    promises: tuple[Promise, ...]


def images(recording: Sequence[Deed | Promise], count: int, rng: random.Random) -> Iterator[Image]:
    """``count`` images of power losses, in the order of their places: a fifth right after something was erased."""
    erased = [place for place, event in enumerate(recording, 1) if isinstance(event, Promise) and event.erased]
    anywhere = range(1, len(recording) + 1)
    places = sorted(rng.choice(anywhere if number % 5 else erased) for number in range(count))
    disk = _Disk()
    promises: list[Promise] = []
    done = 0
    for place in places:
        for event in recording[done:place]:
            if isinstance(event, Promise):
                promises.append(event)
            else:
                disk.take(event)
        done = place
        yield Image(place, disk.survivors(rng), tuple(promises))


def without_syncs(recording: Sequence[Deed | Promise]) -> list[Deed | Promise]:
    """The same on a disk that does nothing when it is told to sync, as ``synchronous=OFF`` would have it."""
    return [event for event in recording if isinstance(event, Promise) or event.action != "sync"]


class _Disk:
    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def take(self, deed: Deed) -> None:
        """The next thing that is done. With the first sync of a log SQLite syncs the folder too: names are for good."""
        file = self._files.setdefault(deed.file, _File())
        if deed.action == "sync" and not file.named:
            for each in self._files.values():
                each.folder_synced()
        file.take(deed)

    def survivors(self, rng: random.Random) -> dict[str, bytes]:
        """The files of one image."""
        share = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        found = {name: file.survivor(share, rng) for name, file in self._files.items()}
        files = {name: content for name, content in found.items() if content is not None}
        for name in list(files):
            if name.endswith("-wal") and rng.random() < 0.5:  # the log's shared memory is never synced: any rubbish
                files[name.removesuffix("-wal") + "-shm"] = rng.randbytes(32_768)
        return files


class _File:
    """One file: what is on the disk for good, and what was done since."""

    def __init__(self) -> None:
        self._synced: bytearray | None = None  # None: its name is not on the disk yet
        self._since: list[Deed] = []

    @property
    def named(self) -> bool:
        """True when its name is on the disk."""
        return self._synced is not None

    def folder_synced(self) -> None:
        """What was deleted until now stays deleted."""
        for place, deed in reversed(list(enumerate(self._since))):
            if deed.action == "delete":
                self._synced, self._since = None, self._since[place + 1 :]
                return

    def take(self, deed: Deed) -> None:
        """The next thing that is done to it."""
        if deed.action != "sync":
            self._since.append(deed)
            return
        content = self._synced or bytearray()
        for each in self._since:
            content = _with(content, each)
        self._synced, self._since = content, []

    def survivor(self, share: float, rng: random.Random) -> bytes | None:
        """Its content if about this share of what was not synced survives; None = it is not there."""
        if not self._since:
            return None if self._synced is None else bytes(self._synced)
        content: bytearray | None = None if self._synced is None else bytearray(self._synced)
        if content is None and rng.random() < share:
            content = bytearray()
        for deed in self._since:
            if deed.action == "write":
                for piece in _sectors(deed):
                    if content is not None and rng.random() < share:
                        content = _with(content, piece)
            elif rng.random() < share:
                content = None if deed.action == "delete" else _with(content or bytearray(), deed)
        return None if content is None else bytes(content)


def _sectors(write: Deed) -> Iterator[Deed]:
    start, end = write.offset, write.offset + len(write.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield Deed("write", write.file, start, write.data[start - write.offset : stop - write.offset])
        start = stop


def _with(content: bytearray, deed: Deed) -> bytearray:
    """The content after this; what lies between its end and a later write reads as zeros."""
    if deed.action == "delete":
        return bytearray()
    if deed.action == "truncate":
        del content[deed.offset :]
        return content
    content.extend(bytes(max(0, deed.offset - len(content))))
    content[deed.offset : deed.offset + len(deed.data)] = deed.data
    return content
