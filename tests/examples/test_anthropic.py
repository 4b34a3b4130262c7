"""The example project with FLUE_MODEL=anthropic/...: through the real SDK, against a local Messages API."""

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.quality.repository import ROOT
from tests.support.served import copy_of_examples, served


@pytest.fixture
def messages_api() -> Generator[str]:
    """The address of a Messages API that calls tools when the user's text says so, and echoes otherwise."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.messages_api"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


def test_the_same_project_answers_with_tools_through_anthropic_when_told_so(messages_api: str, tmp_path: Path) -> None:
    env = {
        "FLUE_MODEL": "anthropic/claude-haiku-4-5",
        "ANTHROPIC_API_KEY": "sk-local",
        "ANTHROPIC_BASE_URL": messages_api,
    }
    with served(copy_of_examples(tmp_path), env=env) as server:
        answer = server.prompt("support-assistant", "ticket-8472", "call read_ticket")
        frames = server.prompt_over_socket("joke-teller", "me", "Hello!")
        script = 'call task {"agent": "policy_researcher", "prompt": "call grep {\\"pattern\\": \\"Hotels\\"}"}'
        found = server.prompt("policy-assistant", "me", script, Authorization="Bearer token-of-ada")
    assert "160 euros" in found.body["result"]["text"]
    assert answer.status == 200, answer
    assert "invoice" in answer.body["result"]["text"]
    assert answer.body["result"]["model"] == {"provider": "anthropic", "id": "claude-haiku-4-5"}
    assert frames[-1]["type"] == "result"


def test_a_missing_key_is_said_and_nothing_else_answers_instead(tmp_path: Path) -> None:
    with served(copy_of_examples(tmp_path), env={"FLUE_MODEL": "anthropic/claude-haiku-4-5"}) as server:
        answer = server.prompt("joke-teller", "me", "Hello!")
    assert answer.status >= 500
    assert answer.body["error"]["type"] == "model_error"
