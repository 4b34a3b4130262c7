"""``kill -9`` at random moments under traffic of every kind; after each, and in the end, no promise is broken.

Work goes on in the same store until a new one is begun after `LIVES` kills. A few kills hit the start itself.
"""

import asyncio
import random
import shutil
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import get_args

import pytest

from flue_actors.agent_ref import IfBusy
from flue_actors.storage import Submission
from tests.faults.book import Book
from tests.faults.house import CANARY, House, house
from tests.faults.picture import picture_of
from tests.faults.size import KILLS, SEED, Figures, whole_only
from tests.faults.traffic import talk_until
from tests.faults.verdict import broken_promises, effects, unfinished

LIVES = 20
CLIENTS = 8
IDS = ["u1", "u2", "u3"]


def can_trace() -> bool:
    """Whether strace is there and may trace."""
    command = ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "true"]
    return (
        shutil.which("strace") is not None and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )


class Story:
    """One store's processes, their clients, and what has been seen of the store."""

    def __init__(self, home: House, seed: str, policies: Sequence[IfBusy] = ("queue",)) -> None:
        self.home = home
        self.book = Book()
        self.rng = random.Random(seed)
        self.rows: dict[str, Submission] = {}
        self.over = False
        self._policies = policies

    def life(self) -> None:
        """A process that is killed: most often under traffic, now and then while it starts."""
        self.home.start()
        if self.rng.random() < 0.1:
            time.sleep(self.rng.uniform(0, 0.3))
            self.home.kill()
        else:
            self.home.listen()
            self._talk(self._moment)

    def traced_life(self) -> None:
        """A process that the kernel kills in its n-th write or sync."""
        inject = f"inject=pwrite64,fdatasync,fsync:signal=SIGKILL:when={self.rng.randint(1, 300)}"
        self.home.start("strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", inject)
        while self.home.url not in self.home.said() and not self.home.ended:
            time.sleep(0.01)
        self._talk(self._end)

    def _talk(self, moment: Callable[[], Awaitable[None]]) -> None:
        ids = [f"{each}-{len(self.rows) // 100}" for each in IDS]  # histories stay short, so their reading does
        asyncio.run(talk_until(moment, self.home.url, self.book, self.rng, CLIENTS, ids, self._policies))

    async def _end(self) -> None:
        for _ in range(500):
            if self.home.ended:
                break
            await asyncio.sleep(0.01)
        self.home.kill()

    async def _moment(self) -> None:
        await asyncio.sleep(self.rng.uniform(0.01, 0.5))
        self.home.kill()

    def last_life(self) -> float:
        """A process that finishes what is left; returns the seconds that took from the first moment it listened."""
        self.home.start()
        self.home.listen()
        began = time.monotonic()
        client = self.home.client()
        instances = {sent.instance for sent in self.book.sent}

        def states() -> set[str]:
            return {client.request("GET", f"/agents/{each}/status").body["state"] for each in instances}

        self.home.until(lambda: "queued" not in states(), "somebody waits for a lease, it seems", seconds=5)
        self.home.until(lambda: states() == {"idle"}, "work is left")
        taken = time.monotonic() - began
        assert self.home.stop() == 0
        self.over = True
        return taken

    def problems(self) -> list[str]:
        """What is wrong now, while no process runs."""
        file = self.home.folder / "data" / "flue.db"
        if not file.exists():
            return [f"{sent.token} is lost with the store" for sent in self.book.accepted()]
        seen = asyncio.run(picture_of(file, self.home.folder / "copy"))
        done = effects(self.home.effects.read_text().splitlines())
        found = broken_promises(seen, self.book, done, self.rows, in_turn=self._policies == ("queue",))
        self.rows = {row.id: row for row in seen.submissions}
        return found + (unfinished(seen) if self.over else [])


@pytest.mark.timeout(60 + 10 * KILLS)
def test_no_promise_is_broken_by_kills(tmp_path: Path, record_property: Figures) -> None:
    taken: list[float] = []
    accepted = interrupted = aborted = 0
    began = time.monotonic()
    for chapter in range(-(-KILLS // LIVES)):
        with house(tmp_path / str(chapter)) as home:
            story = Story(home, f"{SEED}-{chapter}")
            for life in range(min(LIVES, KILLS - chapter * LIVES)):
                story.life()
                assert story.problems() == [], f"seed {SEED}, chapter {chapter}, life {life}"
            taken.append(story.last_life())
            assert story.problems() == [], f"seed {SEED}, chapter {chapter}, the end"
            accepted += len(story.book.accepted())
            interrupted += sum(row.attempt > 1 for row in story.rows.values())
            aborted += sum(row.outcome == "aborted" for row in story.rows.values())
            assert CANARY not in home.log.read_text()
            assert "Traceback" not in home.log.read_text()
    record_property(
        "figures",
        f"{KILLS} kills in {time.monotonic() - began:.0f} s: {accepted} inputs acknowledged, {interrupted} resumed, "
        f"{aborted} aborted; "
        f"what was left after the last kill was done {statistics.median(taken):.2f} s after listening",
    )
    assert accepted > 3 * KILLS
    assert max(taken) < 10


@whole_only
@pytest.mark.timeout(300)
def test_no_promise_is_broken_by_kills_whatever_is_to_become_of_who_is_busy(tmp_path: Path) -> None:
    with house(tmp_path / "house") as home:
        story = Story(home, str(SEED), get_args(IfBusy))
        for life in range(KILLS // 5):
            story.life()
            assert story.problems() == [], f"seed {SEED}, life {life}"
        story.last_life()
        assert story.problems() == [], f"seed {SEED}, the end"
        assert {row.outcome for row in story.rows.values()} == {"completed", "aborted"}
        assert any(row.host for row in story.rows.values())


@whole_only
@pytest.mark.skipif(not can_trace(), reason="strace is not here, or may not trace")
@pytest.mark.timeout(300)
def test_no_promise_is_broken_by_kills_in_system_calls(tmp_path: Path) -> None:
    with house(tmp_path / "house") as home:
        story = Story(home, str(SEED))
        for life in range(KILLS // 10):
            story.traced_life()
            assert story.problems() == [], f"seed {SEED}, life {life}"
        story.last_life()
        assert story.problems() == [], f"seed {SEED}, the end"
        assert story.book.accepted()
