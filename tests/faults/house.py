"""A project in a folder of its own and the server process that serves it, which may be killed and started again."""

import copy
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.helpers.ports import free_port
from tests.quality.repository import ROOT
from tests.support.served import Served, environment

CANARY = "sk-canary-7f3a"
"""In the server's environment and in every client's headers; it must turn up nowhere else."""

_PROJECT = Path(__file__).parent / "project"
_PATIENCE = 30


class House:
    """One project folder and at most one process that serves it. The port stays the same over restarts."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.folder = Path(shutil.copytree(_PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__")))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self.effects = folder / "side-effects.log"
        self.effects.touch()
        self._env = environment(
            SIDE_EFFECTS=str(self.effects),
            PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            PYTHONUNBUFFERED="1",
            ANTHROPIC_API_KEY=CANARY,
            **(env or {}),
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._said = 0  # bytes of the log that earlier processes wrote

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The server."""
        assert self._process is not None
        return self._process

    @classmethod
    def beside(cls, other: "House") -> "House":
        """Another server for the same folder, on a port of its own."""
        made = copy.copy(other)
        made.port = free_port()
        made.url = f"http://127.0.0.1:{made.port}"
        made.log = other.folder / "second.log"
        made._process = None
        return made

    def set(self, name: str, value: str) -> None:
        """Put it into the environment of the processes that are started from now on."""
        self._env[name] = value

    def client(self) -> Served:
        """Plain requests to it, one by one."""
        return Served(self.process, self.port)  # pyright: ignore[reportArgumentType]

    def start(self, *prefix: str) -> None:
        """Start the process, by the program in ``prefix`` if there is one; it does not listen yet."""
        assert self._process is None
        self._said = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "flue_actors", "serve", "--port", str(self.port)],
                cwd=self.folder,
                env=self._env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        """What this process has logged."""
        with self.log.open("rb") as log:
            log.seek(self._said)
            return log.read().decode()

    def listen(self) -> None:
        """Wait until it listens."""
        self.until(lambda: self.url in self.said(), "it does not listen")

    def until(self, reached: Callable[[], bool], what: str, seconds: float = _PATIENCE) -> None:
        """Wait for something while the process lives."""
        deadline = time.monotonic() + seconds
        while not reached():
            assert self.process.poll() is None, f"the server ended:\n{self.said()}"
            assert time.monotonic() < deadline, f"{what}:\n{self.said()[-4000:]}"
            time.sleep(0.005)

    def kill(self) -> None:
        """``kill -9``, the process and what it started."""
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._process = None

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self._process = None
        return code

    @property
    def ended(self) -> bool:
        """True when the process has ended by itself."""
        return self.process.poll() is not None

    @property
    def running(self) -> bool:
        """True between `start` and `kill` or `stop`."""
        return self._process is not None


@contextmanager
def house(folder: Path, env: Mapping[str, str] | None = None) -> Generator[House]:
    """A house whose process ends with the block."""
    made = House(folder, env)
    try:
        yield made
    finally:
        if made.running:
            made.kill()
