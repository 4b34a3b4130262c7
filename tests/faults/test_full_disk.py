"""A real server whose disk is full, or broken, for a while: it stays up, says so, answers reads, and goes on afterwards."""

import shutil
import subprocess
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.book import Book
from tests.faults.disk import UNREACHABLE, library
from tests.faults.house import House, house
from tests.faults.picture import picture_of
from tests.faults.size import whole_only
from tests.faults.verdict import broken_promises, effects, unfinished
from tests.support.served import Answer

pytestmark = pytest.mark.skipif(library() is None, reason=UNREACHABLE)

SLOW = "slow " * 8_000
"""An answer of a second, in which text is journaled."""


class Switched:
    """A server with a disk that is switched."""

    def __init__(self, home: House, switch: Path) -> None:
        self.home = home
        self._switch = switch

    @contextmanager
    def failing(self, fault: str) -> Generator[None]:
        """The disk fails inside the block."""
        new = self._switch.with_suffix(".new")
        new.write_text(fault)
        new.replace(self._switch)
        try:
            yield
        finally:
            self._switch.unlink()

    def prompt(self, instance: str, message: str) -> Answer:
        """Send and wait."""
        return self.home.client().request("POST", f"/agents/{instance}", {"message": message})

    def state(self, instance: str) -> str:
        """``idle``, ``running`` or ``queued``."""
        return self.home.client().request("GET", f"/agents/{instance}/status").body["state"]

    def until_all(self, state: str) -> None:
        """Wait for this state of the two instances."""
        instances = ("writer/u1", "worker/u1")
        self.home.until(lambda: all(self.state(each) == state for each in instances), f"they are not all {state}")

    def reads(self, instance: str) -> list[int]:
        """Statuses of everything that only reads."""
        paths = ("/status", "/sessions", "/sessions/default")
        return [self.home.client().request("GET", f"/agents/{instance}{path}").status for path in paths]


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Switched]:
    switch = tmp_path / "switch"
    with house(tmp_path / "house", {"DISK_SWITCH": str(switch), "FLUE_DRAIN_TIMEOUT": "1"}) as home:
        home.start()
        home.listen()
        yield Switched(home, switch)


async def verdict_on(home: House, *expected: str) -> list[str]:
    """What is wrong with the store after a clean stop; these tokens have to be there, each answered."""
    assert home.stop() == 0
    book = Book()
    for token in expected:
        sent = book.enter("", "http", 0)
        sent.token, sent.told = token, 1
    seen = await picture_of(home.folder / "data" / "flue.db", home.folder / "copy")
    done = effects(home.effects.read_text().splitlines())
    return [*broken_promises(seen, book, done, {}), *unfinished(seen)]


FAULTS = pytest.mark.parametrize(
    "fault", ["full", pytest.param("write", marks=whole_only), pytest.param("sync", marks=whole_only)]
)


@FAULTS
async def test_new_work_is_refused_by_name_while_reads_go_on_and_taken_again_afterwards(
    fault: str, disk: Switched
) -> None:
    assert disk.prompt("writer/u1", "T1T hello").status == 200
    with disk.failing(fault):
        for _ in range(3):
            refused = disk.prompt("writer/u1", "T2T hello")
            assert (refused.status, refused.body["error"]["type"]) == (503, "store_unavailable")
        assert disk.reads("writer/u1") == [200, 200, 200]
        assert disk.home.client().request("GET", "/livez").status == 200
    assert disk.prompt("writer/u1", "T3T hello").status == 200
    assert await verdict_on(disk.home, "T1T", "T3T") == []


@FAULTS
async def test_a_turn_that_runs_waits_for_the_disk_and_completes(fault: str, disk: Switched) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = [
            pool.submit(disk.prompt, "writer/u1", f"T1T {SLOW}"),
            pool.submit(
                disk.prompt, "worker/u1", 'call post {"token": "T2T"}\nthen\nwait 1\ncall post {"token": "T2T"}'
            ),
        ]
        disk.until_all("running")
        with disk.failing(fault):
            told = waiting[0].result(30)
            assert (told.status, told.body["error"]["type"]) == (503, "store_unavailable")
            assert disk.state("writer/u1") == "running"
        disk.until_all("idle")
    assert await verdict_on(disk.home, "T1T", "T2T") == []


@whole_only
@FAULTS
async def test_a_stop_while_the_disk_fails_ends_in_time_and_loses_nothing(fault: str, disk: Switched) -> None:
    with ThreadPoolExecutor() as pool:
        told = pool.submit(disk.prompt, "writer/u1", f"T0T {SLOW}")
        disk.home.until(lambda: disk.state("writer/u1") == "running", "it does not run")
        with disk.failing(fault):
            began = time.monotonic()
            disk.home.stop()
            assert time.monotonic() - began < 10
            assert told.result(10).status == 503
            disk.home.start()
            disk.home.process.wait(20)  # refused: an owner has to write that it is one
            assert "cannot be" in disk.home.said()
            disk.home.kill()
    disk.home.start()
    disk.home.listen()
    disk.home.until(lambda: disk.state("writer/u1") == "idle", "it does not go on")
    assert await verdict_on(disk.home, "T0T") == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A real file system of 2 MB, for the ``data`` folder."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount command here")
async def test_a_file_system_that_is_really_full_refuses_by_name_and_goes_on_with_more_space(
    small_disk: Path, tmp_path: Path
) -> None:
    with house(tmp_path / "house") as home:
        (home.folder / "data").symlink_to(small_disk)
        home.start()
        home.listen()
        answers = [home.client().prompt("worker", f"u{number}", f"T{number}T " + "x" * 200_000) for number in range(8)]
        refused = [each.body["error"]["type"] for each in answers if each.status != 200]
        assert refused
        assert set(refused) == {"store_unavailable"}
        assert home.client().request("GET", "/agents/worker/u0/sessions/default").status == 200
        subprocess.run(["mount", "-o", "remount,size=50m", small_disk], check=True)
        accepted = [f"T{number}T" for number, each in enumerate(answers) if each.status == 200]
        home.until(lambda: home.client().prompt("worker", "u9", "T9T hello").status == 200, "it does not go on", 20)
        assert await verdict_on(home, *accepted, "T9T") == []
