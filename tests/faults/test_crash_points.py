"""A crash at every write, truncation, sync and deletion of a few turns, and at every one of the recovery after it."""

import asyncio
import random
import signal
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.faults.book import Book
from tests.faults.crash_points import INPUTS, Nursery, Order, nursery
from tests.faults.disk import UNREACHABLE, library
from tests.faults.picture import picture_of
from tests.faults.size import CRASH_POINTS, SEED, Figures
from tests.faults.verdict import broken_promises, effects, unfinished

pytestmark = [pytest.mark.skipif(library() is None, reason=UNREACHABLE), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def living() -> Generator[Nursery]:
    with nursery() as found:
        yield found


def problems(folder: Path, *, over: bool) -> list[str]:
    """What is wrong with what a crash left."""
    if not (folder / "flue.db").exists():
        return []
    told = (folder / "told").read_text().split() if (folder / "told").exists() else []
    book = Book()
    for number, (instance, _) in enumerate(INPUTS):
        sent = book.enter(instance, "runtime", number)
        sent.told = number + 0.5 if sent.token in told else 0
    seen = asyncio.run(picture_of(folder / "flue.db", folder / "copy"))
    log = folder / "side-effects.log"
    done = effects(log.read_text().splitlines() if log.exists() else ())
    return [*broken_promises(seen, book, done, {}), *(unfinished(seen) if over else ())]


def live(nursery: Nursery, folder: Path, crash_at: int, *, work: bool = False) -> int:
    """A life that ends at this point, or well; how many deeds it did."""
    end = nursery.live(Order(str(folder), crash_at, work))
    assert end.status in (0, signal.SIGKILL), f"{folder}: crash at {crash_at}, status {end.status}"
    return end.deeds


def points(deeds: int, count: int) -> list[int]:
    """At most so many of them, spread evenly, different ones for another seed."""
    every = list(range(1, deeds + 1))
    return every if count >= deeds else sorted(random.Random(SEED).sample(every, count))


def test_a_crash_at_any_write_breaks_no_promise(living: Nursery, tmp_path: Path, record_property: Figures) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    deeds = live(living, whole, 0, work=True)
    assert problems(whole, over=True) == []
    began = time.monotonic()
    tried = points(deeds, CRASH_POINTS)
    for at in tried:
        folder = tmp_path / str(at)
        folder.mkdir()
        live(living, folder, at, work=True)
        assert problems(folder, over=False) == [], f"crash at {at} of {deeds}"
        live(living, folder, random.Random(at).randint(1, 40))  # the recovery crashes too
        assert problems(folder, over=False) == [], f"crash at {at} of {deeds}, and in the recovery"
        live(living, folder, 0)
        assert problems(folder, over=True) == [], f"crash at {at} of {deeds}, the end"
    record_property("figures", f"{len(tried)} of {deeds} crash points in {time.monotonic() - began:.0f} s")
