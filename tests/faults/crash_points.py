"""A process that dies at the n-th thing it does to its disk: every step of a few turns, and of their recovery, is one.

``python -m tests.faults.crash_points`` waits for orders on its standard input, one a line, forks for each (importing
everything once), and answers with a line: how the fork ended and how much it did to its disk.
"""

import asyncio
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from flue_actors import Runtime, create_agent, sqlite
from tests.faults.disk import OK, Action, Deed, watch
from tests.quality.repository import ROOT
from tests.support.served import environment

_PROJECT = Path(__file__).parent / "project"


class Order(msgspec.Struct, frozen=True):
    """One life in this folder. ``crash_at``: which deed it dies before; 0 = none. ``work``: send the inputs."""

    folder: str
    crash_at: int
    work: bool


class End(msgspec.Struct, frozen=True):
    """How it ended: a waiting status (0 = well), and how many deeds it did."""

    status: int
    deeds: int


class _Deadly:
    """Dies before the n-th deed; until then, counts into a file."""

    def __init__(self, at: int, counter: Path) -> None:
        self._left = at
        self._counter = os.open(counter, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def refuse(self, action: Action, file: str) -> int:
        """Never; it dies."""
        self._left -= 1
        if self._left == 0:
            time.sleep(0.005)  # the rest of the process goes on meanwhile: whatever should wait for this write must
            os.kill(os.getpid(), signal.SIGKILL)
        return OK

    def done(self, deed: Deed) -> None:
        """A byte a deed."""
        os.write(self._counter, b".")


INPUTS = (
    ("worker/u1", 'call post {"token": "T0T"}\ncall look {"token": "T0T"}\nthen\ncall build {"token": "T0T"}'),
    ("worker/u1", "T1T and then?"),
    ("writer/u1", "T2T " + "word " * 3_600),
)
"""Instance and message, in the order they are sent; the second one is dispatched. The last one's answer is journaled."""


async def _live(folder: Path, *, work: bool) -> None:
    tools = importlib.import_module("shared_tools").TOOLS
    agents = {
        "worker": create_agent(model="scripted/echo", tools=tools),
        "writer": create_agent(model="scripted/echo?size=3000&rate=100"),
    }
    told = os.open(folder / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with Runtime(agents, store=sqlite(folder / "flue.db")) as runtime:
        for number, (instance, message) in enumerate(INPUTS if work else ()):
            ref = runtime.ref(*instance.split("/"))
            await (ref.dispatch(message) if number == 1 else ref.submit(message))
            os.write(told, f"T{number}T\n".encode())
        while runtime.snapshot().pending:
            await asyncio.sleep(0.002)


def _fork(order: Order) -> End:
    counter = Path(order.folder) / "deeds"
    child = os.fork()
    if child == 0:
        os.environ["SIDE_EFFECTS"] = str(Path(order.folder) / "side-effects.log")
        watch(_Deadly(order.crash_at, counter))
        code = 1
        try:
            asyncio.run(_live(Path(order.folder), work=order.work))
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return End(status, counter.stat().st_size if counter.exists() else 0)


class Nursery:
    """The waiting process, as a test sees it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def live(self, order: Order) -> End:
        """One life."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=End)


@contextmanager
def nursery() -> Generator[Nursery]:
    """It ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.crash_points"],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield Nursery(process)


if __name__ == "__main__":
    sys.path.insert(0, str(_PROJECT))
    for line in sys.stdin:
        print(msgspec.json.encode(_fork(msgspec.json.decode(line, type=Order))).decode(), flush=True)
