"""Which core what is measured runs on, and which one its client. Nothing is pinned where the platform cannot."""

import os
from typing import Final, Literal

Role = Literal["server", "client"]

# Noted at import: once this process is pinned itself, it sees one core only.
_CORES: Final = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def core_of(role: Role) -> int | None:
    """The core; None when there are fewer than two to choose from."""
    if len(_CORES) < 2:
        return None
    return _CORES[0] if role == "server" else _CORES[1]


def pin(pid: int, role: Role) -> None:
    """Keep a process on its core; threads it starts later stay there too. 0 = this one."""
    core = core_of(role)
    if core is not None:
        os.sched_setaffinity(pid, {core})
