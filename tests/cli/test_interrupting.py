"""Ctrl-C in a chat: in the middle of an answer it aborts that one and the chat goes on; at the prompt it leaves."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.served import copy_of_examples, environment, served

pty = pytest.importorskip("pty")

ENDLESS = {"FLUE_MODEL": "scripted/paced?deltas=100000&rate=50"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_of_examples(tmp_path)


class Chat:
    """A chat at a terminal."""

    def __init__(self, process: "subprocess.Popen[str]", keyboard: int) -> None:
        self.process = process
        self._keyboard = keyboard

    def type(self, line: str) -> None:
        os.write(self._keyboard, line.encode() + b"\n")

    def press_ctrl_c(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def read(self, count: int) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read(count)

    def read_until(self, text: str) -> str:
        seen = ""
        while not seen.endswith(text):
            letter = self.read(1)
            assert letter, f"it ended after {seen[-200:]!r}"
            seen += letter
        return seen

    def leave(self) -> int:
        """Press Ctrl-C, again when it fell right between two system calls and was not heard; the exit code."""
        for _ in range(5):
            self.press_ctrl_c()
            with suppress(subprocess.TimeoutExpired):
                return self.process.wait(3)
        raise AssertionError("it goes on")


@contextmanager
def chatting(project: Path, *arguments: str, agent: str = "joke-teller") -> Generator[Chat]:
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "flue_actors", "connect", agent, *arguments],
        cwd=project,
        env=environment(PYTHONUNBUFFERED="1", **ENDLESS),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(terminal)
    try:
        yield Chat(process, keyboard)
    finally:
        process.kill()
        process.communicate()
        os.close(keyboard)


def interrupt_an_answer(chat: Chat) -> None:
    chat.read_until("> ")
    for _ in range(2):
        chat.type("Go on for ever!")
        chat.read_until("abcdefgh")
        chat.press_ctrl_c()
        chat.read_until("\n> ")
    assert chat.process.poll() is None
    assert chat.leave() == 130


def test_ctrl_c_aborts_the_answer_of_a_server_and_the_chat_goes_on(project: Path) -> None:
    with served(project, env=ENDLESS) as server, chatting(project, "--url", server.url) as chat:
        interrupt_an_answer(chat)
        status = server.request("GET", "/agents/joke-teller/me/status").body
        sessions = server.request("GET", "/agents/joke-teller/me/sessions/default").body["entries"]
    assert status["state"] == "idle"  # aborted, and not only left alone
    assert [entry["message"]["role"] for entry in sessions].count("user") == 2


def test_ctrl_c_aborts_the_answer_of_a_project_and_the_chat_goes_on(project: Path) -> None:
    with chatting(project, "--local") as chat:
        interrupt_an_answer(chat)


def test_an_answer_goes_on_in_the_chat_when_its_server_is_killed_and_comes_back(project: Path) -> None:
    paced = {"FLUE_MODEL": "scripted/paced?deltas=120&rate=60&size=1"}
    with served(project, env=paced) as server, chatting(project, "--url", server.url) as chat:
        chat.read_until("> ")
        chat.type("Go on!")
        chat.read_until("abcdefgh")
        server.process.kill()
        with served(project, port=server.port, env=paced) as again:
            chat.read_until("\n> ")
            entries = again.request("GET", "/agents/joke-teller/me/sessions/default").body["entries"]
            status = again.request("GET", "/agents/joke-teller/me/status").body
        chat.leave()
        assert chat.process.stderr is not None
        said = chat.process.stderr.read()
    assert [entry["message"]["role"] for entry in entries].count("user") == 1
    assert status["state"] == "idle"
    assert "[the connection was lost and is there again]" in said
