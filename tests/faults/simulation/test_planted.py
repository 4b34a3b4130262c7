"""The simulation finds bugs: each one that is planted breaks a promise within three hundred schedules."""

import logging
from collections.abc import Iterator

import pytest

from tests.faults.simulation.actions import make_plan
from tests.faults.simulation.planted import BUGS, Plant
from tests.faults.simulation.world import run

WITHIN = 300


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """A bug fills the log."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("plant", [pytest.param(plant, id=name) for name, plant in BUGS.items()])
def test_a_planted_bug_is_found(plant: Plant) -> None:
    with plant():
        assert any(run(make_plan(seed)) for seed in range(WITHIN))
