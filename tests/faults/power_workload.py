"""A store at work on a watched disk: what was done to its files, and what was promised to its callers meanwhile.

`record` is the workload, `broken_promises` reads what a power loss left of it. Everything stored follows from its name,
so that what is read can be compared.
"""

import asyncio
import random
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from unittest.mock import patch

from flue_actors.ids import AgentKey
from flue_actors.storage import Admit, Append, Claim, Entry, Erase, Settle, Store, Submission, WriteJournal
from flue_actors.store import sqlite
from flue_actors.store.pages import Pages
from flue_actors.store.schema import Durability
from tests.faults.disk import Action, Deed, watched
from tests.faults.power import Image, Promise

FILE = "flue.db"
SESSIONS = ("monday", "tuesday", "wednesday")
KEY = AgentKey("baker", "u1")


class Recorder:
    """Keeps every deed and every promise in their order."""

    def __init__(self) -> None:
        self.events: list[Deed | Promise] = []

    def refuse(self, action: Action, file: str) -> int:
        """Nothing is refused."""
        return 0

    def done(self, deed: Deed) -> None:
        """It succeeded."""
        self.events.append(deed)


class _SeenPages(Pages):
    """The store's own way to its file, past SQLite: what it writes is recorded too."""

    def __init__(self, recorder: Recorder, path: Path) -> None:
        super().__init__(path)
        self._recorder = recorder
        self._seen = path.open("rb", buffering=0)  # for good: closing it would drop the process's locks
        self._seen.seek(16)
        self._page = int.from_bytes(self._seen.read(2), "big")

    def wipe(self, numbers: list[int]) -> None:
        super().wipe(numbers)
        for number in numbers:
            self._seen.seek(number * self._page)
            self._recorder.done(Deed("write", FILE, number * self._page, self._seen.read(self._page)))
        self._recorder.done(Deed("sync", FILE))

    def close(self) -> None:
        super().close()
        self._seen.close()


def record(folder: Path, durability: Durability, turns: int) -> list[Deed | Promise]:
    """The recording of sessions that take ``turns`` turns each, side by side, in a store that is opened twice."""
    recorder = Recorder()
    pages = partial(_SeenPages, recorder)
    with watched(recorder), patch("flue_actors.store.writer.Pages", pages):
        for half in range(2):
            asyncio.run(_work(sqlite(folder / FILE, durability=durability), recorder.events, half, turns // 2))
    return recorder.events


async def _work(store: Store, events: list[Deed | Promise], half: int, turns: int) -> None:
    fence = await store.open()

    async def turn(session: str, number: int) -> None:
        name, seq = f"{session}-{half}-{number}", (half * turns + number) * 2 + 1
        await store.commit(fence, Admit(_submission(name, session)))
        events.append(Promise(admitted=(name,)))
        entries = [_entry(session, each, name) for each in (seq, seq + 1)]
        claim = Claim(submission_id=name, attempt=1, at=seq)
        store.commit(fence, claim, _append(session, entries[0], name))
        if number % 3 == 0:
            await store.commit(fence, _step(name, seq))
            events.append(Promise(journaled=(name,)))
        settle = Settle(submission_id=name, attempt=1, outcome="completed", at=seq, result=name.encode())
        await store.commit(fence, _append(session, entries[1], name), settle)
        events.append(Promise(entries=((session, seq + 1),), settled=(name,)))

    async def erase(name: str) -> None:
        secret = Entry(seq=1, kind="message", at=1, body=name.encode() * 500)
        await store.commit(fence, Append(key=KEY, session=name, entries=(secret,)))
        await store.commit(fence, Erase(key=KEY, session=name))
        events.append(Promise(erased=(name,)))

    async def work(session: str) -> None:
        for number in range(turns):
            await turn(session, number)
            if number % 20 == 7:
                await erase(f"secret-{session}-{half}-{number}")

    await asyncio.gather(*[work(session) for session in SESSIONS])
    await store.close()


def _submission(name: str, session: str) -> Submission:
    return Submission(id=name, key=KEY, session=session, kind="direct", payload=_body(name), accepted_at=1)


def _step(name: str, after: int) -> WriteJournal:
    return WriteJournal(
        submission_id=name,
        attempt=1,
        kind="step",
        name="call/step",
        body=_body(f"{name}/step"),
        after=after,
        spent_ms=1,
    )


def _append(session: str, entry: Entry, name: str) -> Append:
    return Append(key=KEY, session=session, entries=(entry,), submission_id=name, attempt=1)


def _entry(session: str, seq: int, name: str) -> Entry:
    return Entry(seq=seq, kind="message", at=seq, body=_body(f"{session}/{seq}"), submission_id=name)


def _body(name: str) -> bytes:
    rng = random.Random(name)
    return rng.randbytes(rng.choice((100, 1_000, 9_000)))


def write_image(image: Image, folder: Path) -> Path:
    """Put the files of the image there; the path of the store."""
    folder.mkdir()
    for name, content in image.files.items():
        (folder / name).write_bytes(content)
    return folder / FILE


async def broken_promises(file: Path, promises: Sequence[Promise]) -> list[str]:
    """What is wrong with the store in this file, in words.

    Raises:
        StoreError: It cannot even be opened.
    """
    found = _leftovers(file.parent, promises)
    store = sqlite(file)
    await store.open()
    found += [problem for session in SESSIONS for problem in await _session_problems(store, session, promises)]
    found += await _submission_problems(store, promises)
    await store.close()
    with sqlite3.connect(file) as db:
        found += [word for (word,) in db.execute("PRAGMA integrity_check") if word != "ok"]
    db.close()
    return found


def _leftovers(folder: Path, promises: Sequence[Promise]) -> list[str]:
    files = [(each.name, each.read_bytes()) for each in folder.iterdir()]
    erased = [text for each in promises for text in each.erased]
    return [f"{text} was erased and is in {name}" for text in erased for name, held in files if text.encode() in held]


async def _session_problems(store: Store, session: str, promises: Sequence[Promise]) -> list[str]:
    promised = max((seq for each in promises for name, seq in each.entries if name == session), default=0)
    stored = await store.entries(KEY, session)
    found: list[str] = []
    if [entry.seq for entry in stored] != list(range(1, len(stored) + 1)):
        found.append(f"{session} has gaps")
    if len(stored) < promised:
        found.append(f"{session} ends at {len(stored)}, promised were {promised}")
    found += [
        f"{session}/{each.seq} is not what was written" for each in stored if each.body != _body_of(session, each)
    ]
    return found


def _body_of(session: str, entry: Entry) -> bytes:
    return _body(f"{session}/{entry.seq}")


async def _submission_problems(store: Store, promises: Sequence[Promise]) -> list[str]:
    found: list[str] = []
    settled = {name for each in promises for name in each.settled}
    journaled = {name for each in promises for name in each.journaled}
    for name in [name for each in promises for name in each.admitted]:
        row = await store.submission(name)
        if row is None:
            found.append(f"{name} was promised and is not there")
        elif row.payload != _body(name):
            found.append(f"{name} is not what was sent")
        elif name in settled and (row.outcome, row.result) != ("completed", name.encode()):
            found.append(f"{name} was settled and is {row.status}")
        elif name in journaled and row.outcome is None:
            found += [f"{name} has lost its journal"] * (await store.journal(name) == [])
    return found
