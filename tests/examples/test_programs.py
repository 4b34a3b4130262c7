"""The examples that are programs of their own."""

import subprocess
import sys
import time
import urllib.error
from pathlib import Path

from tests.helpers.ports import free_port
from tests.support.served import Served, copy_of_examples, environment


def run(program: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, program], cwd=cwd, env=environment(), capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_embedded_program_answers_streams_and_remembers(tmp_path: Path) -> None:
    folder = copy_of_examples(tmp_path)
    first, again = run("embedded.py", folder), run("embedded.py", folder)
    assert first.splitlines() == [
        "echo: Hello! (1 messages)",
        "echo: And again, as it comes. (3 messages)",
        "4 messages so far; run me again",
    ]
    assert again.splitlines()[0] == "echo: Hello! (5 messages)"


def test_agents_answer_inside_a_fastapi_application(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "in_fastapi:app", "--port", str(port), "--log-level", "warning"],
        cwd=copy_of_examples(tmp_path),
        env=environment(),
    )
    try:
        server = Served(process, port)
        assert joke_when_ready(server)
        answer = server.request("POST", "/ai/agents/joke-teller/me", {"message": "Hello!"})
        assert answer.status == 200
        assert answer.body["result"]["text"]
        assert server.request("GET", "/ai/readyz").status == 200
    finally:
        process.terminate()
        process.wait(20)


def joke_when_ready(server: Served) -> str:
    deadline = time.monotonic() + 30
    while True:
        try:
            return server.request("GET", "/joke?about=actors").body
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "the application did not start"
            time.sleep(0.05)
