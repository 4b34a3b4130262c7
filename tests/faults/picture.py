"""Everything a store holds, read from a copy of its files, so that the next process finds them as they were left."""

import shutil
import sqlite3
from pathlib import Path

import msgspec

from flue_actors.ids import AgentKey
from flue_actors.storage import Entry, Submission
from flue_actors.store import sqlite


class Picture(msgspec.Struct, frozen=True):
    """Every input in acceptance order, and every session's entries by ``(instance, session)``."""

    submissions: tuple[Submission, ...]
    sessions: dict[tuple[AgentKey, str], tuple[Entry, ...]]

    def unsettled(self) -> set[str]:
        """Ids of inputs without an outcome."""
        return {each.id for each in self.submissions if each.status != "settled"}


async def picture_of(file: Path, copies: Path) -> Picture:
    """What the store in this file holds; nobody may be writing to it.

    Args:
        copies: A folder for the copy, emptied again.
    """
    copies.mkdir()
    for each in file.parent.glob(f"{file.name}*"):
        shutil.copyfile(each, copies / each.name)
    store = sqlite(copies / file.name)
    await store.open()
    try:
        rows = [await store.submission(id) for id in _ids(copies / file.name)]
        found = tuple([row for row in rows if row is not None])
        sessions: dict[tuple[AgentKey, str], tuple[Entry, ...]] = {}
        for key in {row.key for row in found}:
            for record in await store.sessions(key):
                sessions[key, record.name] = tuple(await store.entries(key, record.name))
    finally:
        await store.close()
        shutil.rmtree(copies)
    return Picture(found, sessions)


def _ids(file: Path) -> list[str]:
    db = sqlite3.connect(file)
    try:
        return [id for (id,) in db.execute("SELECT id FROM submissions ORDER BY seq")]
    finally:
        db.close()
