"""Facts about this machine, for a report."""

import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from benchmarks.cores import core_of
from benchmarks.results import Machine

_PACKAGES: Final = (
    "flue-actors",
    "aiosqlite",
    "anthropic",
    "falcon",
    "httptools",
    "msgspec",
    "pykka",
    "uvicorn",
    "uvloop",
    "websockets",
)


def machine() -> Machine:
    """This machine, now."""
    return Machine(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=platform.platform(),
        cpu=_cpu(),
        cpu_count=os.cpu_count() or 0,
        server_core=core_of("server"),
        client_core=core_of("client"),
        loop="in process: asyncio; servers: named in each figure; clients: uvloop",
        load=os.getloadavg()[0],
        packages={name: found for name in _PACKAGES if (found := _version(name))} | {"sqlite": sqlite3.sqlite_version},
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()
