"""The processes a benchmark measures or needs: our server, a Messages-API server; and what they use (Linux's /proc)."""

import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.cores import Role, pin
from tests.helpers.ports import free_port

_TICK: Final = os.sysconf("SC_CLK_TCK")


class Server(msgspec.Struct, frozen=True):
    """A running flue-actors server on the loopback interface.

    Attributes:
        exec_seconds: From its process's start until it listened.
        start_seconds: From its runtime's start until then.
    """

    pid: int
    port: int
    exec_seconds: float = 0
    start_seconds: float = 0

    def cpu_seconds(self) -> float:
        """User and system time so far, all threads; in steps of 10 ms."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def resident_bytes(self) -> int:
        """Memory in RAM now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def flue_server(
    *, model: str, loop: str, store: str = "sqlite", env: Mapping[str, str] | None = None, file: Path | None = None
) -> Generator[Server]:
    """``benchmarks.server`` with one agent, ``echo``, on the server's core; its store in ``file`` or in a new one."""
    port = free_port()
    arguments = ["-m", "benchmarks.server", "--port", str(port), "--store", store, "--model", model, "--loop", loop]
    began = time.perf_counter()
    with _running([*arguments, *(["--file", str(file)] if file is not None else [])], "server", env) as process:
        listened = time.perf_counter()
        assert process.stdout is not None
        start_ms = float(process.stdout.readline())
        yield Server(process.pid, port, listened - began, start_ms / 1000)


@contextmanager
def messages_api(*arguments: str) -> Generator[str]:
    """The Messages-API server on the client's core; its URL."""
    with _running(["-m", "tests.messages_api", "--bare", *arguments], "client", None) as process:
        assert process.stdout is not None
        yield process.first_line


def anthropic_environment(url: str) -> dict[str, str]:
    """What points the Anthropic SDK there."""
    return {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "benchmark"}


class _Process(subprocess.Popen[str]):
    first_line: str = ""


@contextmanager
def _running(arguments: list[str], role: Role, env: Mapping[str, str] | None) -> Generator[_Process]:
    """Started, pinned, and ready: it said so in its first line."""
    with _Process(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env=os.environ | (env or {})
    ) as process:
        pin(process.pid, role)
        assert process.stdout is not None
        try:
            process.first_line = process.stdout.readline().strip()
            assert process.first_line, f"{arguments[1]} did not start"
            yield process
        finally:
            process.terminate()
