"""The store, on a disk that fails on demand where the environment names its switch."""

import os
from pathlib import Path

from flue_actors import sqlite

if switch := os.environ.get("DISK_SWITCH"):
    from tests.faults.failing_disk import fail_on_demand

    fail_on_demand(Path(switch))

store = sqlite("data/flue.db")
