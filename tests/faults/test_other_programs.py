"""What others do to the store's file: a second server, a lock, a missing right, damage. Never a silent loss.

Beside this: `tests.store.test_ownership` (one owner), `test_format` (foreign, newer, truncated and damaged files, golden
files of every version) and `test_faults` (I/O errors) are about the store alone.
"""

import os
import signal
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.faults.house import House, house
from tests.faults.size import whole_only


@pytest.fixture
def home(tmp_path: Path) -> Generator[House]:
    with house(tmp_path / "house") as made:
        yield made


def database(home: House) -> Path:
    return home.folder / "data" / "flue.db"


def prompt(home: House, message: str = "hello", instance: str = "writer/u1") -> tuple[int, str]:
    """Status, and the answer's text or the error's type."""
    answer = home.client().request("POST", f"/agents/{instance}", {"message": message})
    return answer.status, answer.body["result"]["text"] if answer.status == 200 else answer.body["error"]["type"]


def refusal(home: House) -> str:
    """What a server that refuses to start says."""
    home.start()
    assert home.process.wait(20) == 1
    home.kill()
    return home.said()


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped by SIGSTOP"])
def test_a_second_server_on_the_same_store_is_refused_and_harms_nothing(home: House, stopped: bool) -> None:
    home.start()
    home.listen()
    assert prompt(home) == (200, "echo: hello (1 messages)")
    first, second = home.process, House.beside(home)
    if stopped:
        first.send_signal(signal.SIGSTOP)
    assert "in use by another process" in refusal(second)
    first.send_signal(signal.SIGCONT)
    assert prompt(home) == (200, "echo: hello (3 messages)")


@whole_only
def test_a_database_that_another_program_locks_is_unavailable_for_a_bounded_time(home: House) -> None:
    home.start()
    home.listen()
    assert prompt(home)[0] == 200
    other = sqlite3.connect(database(home), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    assert prompt(home) == (503, "store_unavailable")
    assert time.monotonic() - began < 12  # busy_timeout is 5 s
    assert home.client().request("GET", "/livez").status == 200
    other.execute("ROLLBACK")
    other.close()
    assert prompt(home) == (200, "echo: hello (3 messages)")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no place here that even root cannot write to")
def test_a_store_that_cannot_be_written_is_refused_at_start(home: House) -> None:
    database(home).parent.symlink_to("/proc")
    assert "/proc/flue.db.lock" in refusal(home)


def test_a_damaged_store_is_refused_or_says_so_and_is_never_taken_for_empty(home: House) -> None:
    home.start()
    home.listen()
    for number in range(40):
        prompt(home, "x" * 2_000 + str(number), "worker/u1")
    assert home.stop() == 0
    size = database(home).stat().st_size
    with database(home).open("r+b") as file:
        for offset in range(16_384, size, 16_384):
            file.seek(offset)
            file.write(os.urandom(8_192))
    assert "damaged" in refusal(home)
