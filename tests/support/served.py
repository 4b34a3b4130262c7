"""Projects served by the real command line in a process of their own, and plain clients to talk to them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from websockets.sync.client import connect

from tests.helpers.ports import free_port
from tests.quality.repository import ROOT

OURS = ("FLUE_", "ANTHROPIC_")


class Answer(NamedTuple):
    status: int
    body: Any


class Served:
    """A running server."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.output: list[str] = []

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send JSON (or bytes as they are), get status and decoded JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            self.url + path, data=data, headers={"content-type": "application/json", **names}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return Answer(response.status, json.loads(response.read() or b"null"))
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, json.loads(refusal.read() or b"null"))

    def prompt(self, agent: str, id: str, message: str, session: str = "default", **headers: str) -> Answer:
        path = f"/agents/{agent}/{quote(id, safe='')}"
        return self.request("POST", path, {"message": message, "session": session}, **headers)

    def prompt_over_socket(self, agent: str, id: str, message: str, **headers: str) -> list[dict[str, Any]]:
        """Every frame from `ready` to the result or error."""
        frames: list[dict[str, Any]] = []
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with connect(f"ws://127.0.0.1:{self.port}/agents/{agent}/{id}", additional_headers=names) as client:
            client.send(json.dumps({"version": 1, "type": "prompt", "requestId": "1", "message": message}))
            while not frames or frames[-1]["type"] not in ("result", "error"):
                frames.append(json.loads(client.recv(timeout=20)))
        return frames


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what would change which model answers or where."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith(OURS)}, "NO_COLOR": "1", **more}


def flue_actors(
    *arguments: str, cwd: Path, input: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "flue_actors", *arguments],
        cwd=cwd,
        env=environment(**(env or {})),
        input=input,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


@contextmanager
def served(
    project: Path, *, command: str = "serve", port: int | None = None, env: Mapping[str, str] | None = None
) -> Generator[Served]:
    """`flue-actors serve` (or `dev`) in the project's folder, listening from the first line of the block on."""
    port = free_port() if port is None else port
    process = subprocess.Popen(
        [sys.executable, "-m", "flue_actors", command, "--port", str(port)],
        cwd=project,
        env=environment(PYTHONUNBUFFERED="1", **(env or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = Served(process, port)
    ready = threading.Event()
    reader = threading.Thread(target=_read, args=(server, ready), daemon=True)
    reader.start()
    try:
        assert ready.wait(30), "".join(server.output)
        assert process.poll() is None, "".join(server.output)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()
            reader.join()
            assert process.stdout is not None
            process.stdout.close()


def _read(server: Served, ready: threading.Event) -> None:
    assert server.process.stdout is not None
    for line in server.process.stdout:
        server.output.append(line)
        if server.url in line:
            ready.set()
    ready.set()


def copy_of_examples(folder: Path) -> Path:
    """The example project, without what it has kept so far."""
    return Path(
        shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("data", "__pycache__"))
    )
