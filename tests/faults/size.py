"""How much of the fault lab runs: a short part with every test run, the whole with ``make test-faults``."""

import os
from collections.abc import Callable

import pytest

WHOLE = os.environ.get("FAULTS") == "whole"

SEED = int(os.environ.get("FAULTS_SEED", "1"))
"""Another seed kills, and loses power, at other moments."""

KILLS = int(os.environ.get("FAULTS_KILLS", "200" if WHOLE else "10"))
POWER_LOSSES = int(os.environ.get("FAULTS_POWER_LOSSES", "1000" if WHOLE else "20"))
CRASH_POINTS = int(os.environ.get("FAULTS_CRASH_POINTS", "1000" if WHOLE else "8"))
RESTARTS = int(os.environ.get("FAULTS_RESTARTS", "20" if WHOLE else "2"))

whole_only = pytest.mark.skipif(not WHOLE, reason="takes long: a part of `make test-faults`")

Figures = Callable[[str, str], None]
"""pytest's ``record_property``: `conftest` shows what is recorded as ``figures`` at the end of the run."""
