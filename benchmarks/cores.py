"""Which core what is measured runs on, and which one its client. Nothing is pinned where the platform cannot."""

import os
from typing import Literal

Role = Literal["server", "client"]


def core_of(role: Role) -> int | None:
    """The core; None when there are fewer than two to choose from."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(_allowed())
    if len(cores) < 2:
        return None
    return cores[0] if role == "server" else cores[1]


def pin(pid: int, role: Role) -> None:
    """Keep a process on its core; threads it starts later stay there too. 0 = this one."""
    core = core_of(role)
    if core is not None:
        os.sched_setaffinity(pid, {core})


def _allowed() -> set[int]:
    given = os.environ.get(_VARIABLE)
    if given:
        return {int(core) for core in given.split(",")}
    return set(os.sched_getaffinity(0))


def environment() -> dict[str, str]:
    """The variables a child process needs to find the same cores."""
    if not hasattr(os, "sched_getaffinity"):
        return {}
    return {_VARIABLE: ",".join(str(core) for core in sorted(_allowed()))}


_VARIABLE = "FLUE_BENCHMARK_CORES"
