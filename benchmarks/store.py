"""Store: durable appends/s and whole turns/s at 1, 100 and 1,000 tasks, beside raw SQLite in the same run.

Every round runs all contestants one after the other on fresh files; figures are medians over the rounds.

* ``appends``: one 1 KB entry per commit, each task awaits its own. Against it ``aiosqlite``: the same row with
  one autocommit per append on one connection, and ``sqlite3``: a plain loop with 1,000 rows per transaction.
* ``turns``: Admit, awaited; Claim + user entry, not awaited; assistant entry + Settle, awaited.
* All with ``synchronous=FULL`` but ``*_process``.
"""

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import aiosqlite

from flue_actors.ids import AgentKey
from flue_actors.storage import Admit, Append, Claim, Entry, Fence, Settle, Store, Submission
from flue_actors.store import sqlite

T = TypeVar("T")

BODY = b'{"text":"' + b"x" * 1013 + b'"}'
TASKS = (1, 100, 1_000)
_RAW = """
    PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 256;
    CREATE TABLE entries(session INTEGER, seq INTEGER, kind TEXT, at INTEGER, submission TEXT, body BLOB,
        UNIQUE(session, seq))"""
_INSERT = "INSERT INTO entries VALUES (?, ?, 'message', 0, NULL, ?)"


def run(quick: bool) -> dict[str, float]:
    """Figures by name: ``*_per_s`` higher is better, ``*_us`` and ``*_ms`` lower, ``*_ratio`` see its name."""
    rounds, seconds = (3, 0.4) if quick else (5, 2.0)
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, value in _round(seconds).items():
            taken.setdefault(name, []).append(value)
    figures = {name: statistics.median(values) for name, values in taken.items()}
    most = TASKS[-1]
    figures["group_over_commit_each_ratio"] = figures[f"appends_{most}_per_s"] / figures[f"aiosqlite_{most}_per_s"]
    figures["group_over_raw_batch_ratio"] = figures[f"appends_{most}_per_s"] / figures["sqlite3_batch_per_s"]
    figures["power_over_process_ratio"] = figures[f"appends_{most}_per_s"] / figures[f"appends_{most}_process_per_s"]
    figures["single_append_over_aiosqlite_ratio"] = figures["aiosqlite_1_per_s"] / figures["appends_1_per_s"]
    return figures


def _round(seconds: float) -> dict[str, float]:
    figures = {"sqlite3_batch_per_s": _in_folder(lambda folder: _raw_batches(folder, seconds))}
    for tasks in TASKS:
        figures[f"aiosqlite_{tasks}_per_s"] = _in_folder(lambda folder, n=tasks: asyncio.run(_raw(folder, n, seconds)))
        figures |= _store_figures("appends", tasks, seconds)
        figures |= _store_figures("turns", tasks, seconds)
    figures |= _store_figures("appends", TASKS[-1], seconds, process=True)
    return figures


def _store_figures(what: str, tasks: int, seconds: float, process: bool = False) -> dict[str, float]:
    work = {"appends": _appends, "turns": _turns}[what]
    name = f"{what}_{tasks}" + ("_process" if process else "")

    def measured(folder: Path) -> dict[str, float]:
        store = sqlite(folder / "flue.db", durability="process" if process else "power")
        cpu = time.process_time()
        taken = asyncio.run(_with_store(store, work, tasks, seconds))
        spent = time.process_time() - cpu
        taken.sort()
        return {
            f"{name}_per_s": len(taken) / seconds,
            f"{name}_p50_ms": taken[len(taken) // 2] * 1e3,
            f"{name}_p99_ms": taken[len(taken) * 99 // 100] * 1e3,
            f"{name}_cpu_us": spent / len(taken) * 1e6,
        }

    return _in_folder(measured)


async def _with_store(store: Store, work: "Work", tasks: int, seconds: float) -> list[float]:
    fence = await store.open()
    try:
        return await _timed(tasks, seconds, lambda task: work(store, fence, task))
    finally:
        await store.close()


Work = Callable[[Store, Fence, int], "Callable[[int], Awaitable[object]]"]


def _appends(store: Store, fence: Fence, task: int) -> Callable[[int], Awaitable[object]]:
    key = AgentKey("bench", f"instance-{task}")

    def step(n: int) -> Awaitable[object]:
        entry = Entry(seq=n + 1, kind="message", at=n, body=BODY)
        return store.commit(fence, Append(key=key, session="default", entries=(entry,)))

    return step


def _turns(store: Store, fence: Fence, task: int) -> Callable[[int], Awaitable[object]]:
    key = AgentKey("bench", f"instance-{task}")

    async def step(n: int) -> None:
        name = f"sub_{task:013}{n:013}"
        await store.commit(
            fence,
            Admit(
                Submission(
                    id=name, key=key, session="default", kind="direct", payload=b'{"message":"hi"}', accepted_at=n
                )
            ),
        )
        user = Entry(seq=2 * n + 1, kind="message", at=n, body=BODY, submission_id=name)
        reply = Entry(seq=2 * n + 2, kind="message", at=n, body=BODY, submission_id=name)
        _ = store.commit(
            fence,
            Claim(submission_id=name, attempt=1, at=n),
            Append(key=key, session="default", entries=(user,), submission_id=name, attempt=1),
        )
        await store.commit(
            fence,
            Append(key=key, session="default", entries=(reply,), submission_id=name, attempt=1),
            Settle(submission_id=name, attempt=1, outcome="completed", at=n, result=b'{"text":"hello"}'),
        )

    return step


async def _timed(tasks: int, seconds: float, work: Callable[[int], Callable[[int], Awaitable[object]]]) -> list[float]:
    """Seconds that each step took, all tasks together, in the time given."""
    taken: list[float] = []
    stop = time.perf_counter() + seconds

    async def one(task: int) -> None:
        step, n, before = work(task), 0, time.perf_counter()
        while before < stop:
            await step(n)
            after = time.perf_counter()
            taken.append(after - before)
            n, before = n + 1, after

    await asyncio.gather(*(one(task) for task in range(tasks)))
    return taken


async def _raw(folder: Path, tasks: int, seconds: float) -> float:
    """Appends/s through aiosqlite as it is usually written: one commit each."""
    async with aiosqlite.connect(folder / "raw.db", isolation_level=None) as db:
        await db.executescript(_RAW)

        def work(task: int) -> Callable[[int], Awaitable[object]]:
            return lambda n: db.execute_insert(_INSERT, (task, n, BODY))

        return len(await _timed(tasks, seconds, work)) / seconds


def _raw_batches(folder: Path, seconds: float) -> float:
    """Appends/s of the plainest loop: what the disk and SQLite give without a task, a future or a thread."""
    db = sqlite3.connect(folder / "raw.db", isolation_level=None)
    db.executescript(_RAW)
    done, stop = 0, time.perf_counter() + seconds
    while time.perf_counter() < stop:
        db.execute("BEGIN IMMEDIATE")
        for task in range(1_000):
            db.execute(_INSERT, (task, done, BODY))
        db.execute("COMMIT")
        done += 1
    db.close()
    return done * 1_000 / seconds


def _in_folder(work: Callable[[Path], T]) -> T:
    with tempfile.TemporaryDirectory() as folder:
        return work(Path(folder))
