"""The power fails at any moment: what was promised under ``durability="power"`` is there, and the file is sound."""

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from flue_actors.store.schema import Durability
from tests.faults.disk import UNREACHABLE, Deed, library
from tests.faults.power import Image, Promise, images, without_syncs
from tests.faults.power_workload import broken_promises, record, write_image
from tests.faults.size import POWER_LOSSES, SEED, Figures

pytestmark = [pytest.mark.skipif(library() is None, reason=UNREACHABLE), pytest.mark.timeout(600)]

TURNS = 120
"""For each of three sessions: about 1,000 commits' pages, so that the log is written over more than once."""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[Durability, list[Deed | Promise]]:
    folder = tmp_path_factory.mktemp("recorded")
    return {
        "power": record(folder / "power", "power", TURNS),
        "process": record(folder / "process", "process", TURNS),
    }


def losses(recording: Sequence[Deed | Promise], count: int, folder: Path, *, all_kept: bool) -> list[str]:
    """What is wrong with ``count`` images; without ``all_kept`` only whether they are sound, not whether they are whole."""
    found: list[str] = []
    for number, image in enumerate(images(recording, count, random.Random(SEED))):
        promises = image.promises if all_kept else ()
        found += [
            f"image {number} at {image.place}: {word}" for word in problems(image, promises, folder / str(number))
        ]
    return found


def problems(image: Image, promises: Sequence[Promise], folder: Path) -> list[str]:
    file = write_image(image, folder)
    try:
        found = asyncio.run(broken_promises(file, promises))
    except Exception as error:  # a disk that lies leaves anything
        found = [f"cannot be opened: {error!r}"]
    if not found:
        for each in folder.iterdir():
            each.unlink()
    return found


def test_no_promise_is_broken_by_a_power_loss(
    recordings: dict[Durability, list[Deed | Promise]], tmp_path: Path, record_property: Figures
) -> None:
    began = time.monotonic()
    assert losses(recordings["power"], POWER_LOSSES, tmp_path, all_kept=True) == []
    record_property("figures", f"{POWER_LOSSES} power losses in {time.monotonic() - began:.0f} s: no promise broken")


def test_with_the_lesser_durability_the_file_is_sound_whatever_is_missing(
    recordings: dict[Durability, list[Deed | Promise]], tmp_path: Path
) -> None:
    assert losses(recordings["process"], max(10, POWER_LOSSES // 4), tmp_path, all_kept=False) == []


def test_the_lesser_durability_does_lose_what_was_promised(
    recordings: dict[Durability, list[Deed | Promise]], tmp_path: Path
) -> None:
    assert losses(recordings["process"], 15, tmp_path, all_kept=True) != []


def test_a_disk_that_does_not_sync_loses_what_was_promised(
    recordings: dict[Durability, list[Deed | Promise]], tmp_path: Path
) -> None:
    assert losses(without_syncs(recordings["power"]), 15, tmp_path, all_kept=True) != []
