"""How a server in a process of its own stops: everybody who waits is told, and the log has no tracebacks."""

import json
import signal
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.support.served import Answer, Served, copy_of_examples, served

AGENT = "/agents/joke-teller/{id}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_of_examples(tmp_path)


def last_event(server: Served, id: str, message: str) -> dict[str, Any]:
    """The last event of the message's stream."""
    request = Request(
        server.url + AGENT.format(id=id),
        data=json.dumps({"message": message}).encode(),
        headers={"content-type": "application/json", "accept": "text/event-stream"},
    )
    with urlopen(request, timeout=20) as response:
        lines = [line for line in response.read().decode().splitlines() if line.startswith("data: ")]
    return json.loads(lines[-1].removeprefix("data: "))


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


class Waiting:
    """Three callers whose messages run, one by each transport, and one more whose message waits behind the first."""

    def __init__(self, server: Served, pool: ThreadPoolExecutor) -> None:
        self._server = server
        self.json: Future[Answer] = pool.submit(server.prompt, "joke-teller", "json", "hang")
        self._until_running("json")
        self.queued: Future[Answer] = pool.submit(server.prompt, "joke-teller", "json", "Hello!")
        self._until_running("json", queued=1)
        self.stream: Future[dict[str, Any]] = pool.submit(last_event, server, "stream", "hang")
        self._until_running("stream")
        self.socket: Future[list[dict[str, Any]]] = pool.submit(
            server.prompt_over_socket, "joke-teller", "socket", "hang"
        )
        self._until_running("socket")

    def told(self) -> list[tuple[Any, ...]]:
        """What each of them was told."""
        answers = [each.result(20) for each in (self.json, self.queued)]
        stream, frame = self.stream.result(20), self.socket.result(20)[-1]
        return [
            *[(answer.status, answer.body["error"]["type"]) for answer in answers],
            (stream["type"], stream["error"]["type"]),
            (frame["type"], frame["requestId"], frame["error"]["type"]),
        ]

    def _until_running(self, id: str, *, queued: int = 0) -> None:
        def reached() -> bool:
            now = self._server.request("GET", AGENT.format(id=id) + "/status").body
            return (now["state"], now["queued"]) == ("running", queued)

        until(reached)


TOLD = [
    (503, "interrupted"),
    (503, "interrupted"),
    ("error", "interrupted"),
    ("error", "1", "interrupted"),
]


@contextmanager
def waited_for(project: Path, drain_timeout: str) -> Generator[tuple[Served, Waiting]]:
    with served(project, env={"FLUE_DRAIN_TIMEOUT": drain_timeout}) as server, ThreadPoolExecutor() as pool:
        yield server, Waiting(server, pool)


def test_what_does_not_finish_in_time_is_interrupted_and_everybody_is_told_so(project: Path) -> None:
    with waited_for(project, "0.3") as (server, waiting):
        server.process.send_signal(signal.SIGTERM)
        assert waiting.told() == TOLD
        assert server.process.wait(10) == 0
    assert "Traceback" not in "".join(server.output)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_second_signal_ends_it_at_once_and_everybody_is_told(project: Path, number: signal.Signals) -> None:
    with waited_for(project, "30") as (server, waiting):
        server.process.send_signal(number)
        until(lambda: "Stopping: waiting at most 30 seconds for 3 messages." in "".join(server.output))
        began = time.monotonic()
        server.process.send_signal(number)
        assert waiting.told() == TOLD
        assert server.process.wait(10) == 0
        assert time.monotonic() - began < 2
    assert "Traceback" not in "".join(server.output)


STUBBORN = """
import asyncio

from flue_actors import create_agent, public, tool

guard = public


@tool
async def endure() -> str:
    \"\"\"Ignore that the work was cancelled.\"\"\"
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass


agent = create_agent(model="scripted/echo", tools=[endure])
"""


def test_a_second_signal_also_ends_what_does_not_end_when_it_is_cancelled(project: Path) -> None:
    (project / "agents" / "stubborn.py").write_text(STUBBORN)
    with served(project) as server, ThreadPoolExecutor() as pool:
        answer = pool.submit(server.prompt, "stubborn", "me", "call endure")
        until(lambda: server.request("GET", "/agents/stubborn/me/status").body["state"] == "running")
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "Stopping: waiting at most 30 seconds for 1 message." in "".join(server.output))
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert answer.result(20).status == 503
        server.process.wait(10)
        assert time.monotonic() - began < 4
    assert "Traceback" not in "".join(server.output)


def test_what_was_cut_off_is_answered_after_the_next_start(project: Path) -> None:
    with served(project, env={"FLUE_DRAIN_TIMEOUT": "0.1"}) as server, ThreadPoolExecutor() as pool:
        cut_off = pool.submit(server.prompt, "joke-teller", "me", "wait 1.5")
        until(lambda: server.request("GET", "/agents/joke-teller/me/status").body["state"] == "running")
        server.process.send_signal(signal.SIGTERM)
        place = cut_off.result(20).body["error"]["meta"]["submissionId"]
        assert server.process.wait(10) == 0
    with served(project) as server:
        found = server.request("GET", f"/agents/joke-teller/me/submissions/{place}?wait=30")
        entries = server.request("GET", "/agents/joke-teller/me/sessions/default").body["entries"]
    assert (found.status, found.body["outcome"], found.body["attempts"]) == (200, "completed", 2)
    assert [entry["message"]["role"] for entry in entries].count("user") == 1
