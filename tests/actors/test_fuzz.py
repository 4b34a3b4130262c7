import logging

import pytest

from flue_actors.testing.virtual_time import run_virtual
from tests.actors.fuzz import Walk


@pytest.mark.parametrize("block", range(20))
def test_a_random_walk_loses_reorders_and_strands_nothing(block, caplog):
    caplog.set_level(logging.CRITICAL, logger="flue_actors.actors")  # failures are planned
    for seed in range(block * 10, block * 10 + 10):
        walk = Walk(seed, operations=100)
        run_virtual(walk.run)
        assert walk.faults == [], f"seed {seed}"
        assert len(walk.ended) > 30
