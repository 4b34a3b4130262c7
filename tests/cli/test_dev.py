"""`flue-actors dev`: a saved file answers within a second, running turns finish, mistakes change nothing."""

import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.served import Served, copy_of_examples, flue_actors, served

AGENT = """\
from flue_actors import create_agent, public, tool

guard = public


@tool
def version() -> str:
    \"\"\"Which version is this?\"\"\"
    return "{version}"


agent = create_agent(model="scripted/echo", tools=[version])
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = copy_of_examples(tmp_path)
    save(folder, AGENT.format(version="one"))
    return folder


@pytest.fixture
def server(project: Path) -> Generator[Served]:
    with served(project, command="dev") as server:
        yield server


def save(project: Path, text: str) -> None:
    (project / "agents" / "teller.py").write_text(text)


def version(server: Served) -> str:
    return server.prompt("teller", "me", "call version").body["result"]["text"].split()[1]


def wait_until(condition: Callable[[], bool]) -> float:
    """Seconds until it was true."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 10, "it never came true"
        time.sleep(0.02)
    return time.monotonic() - began


def test_a_saved_change_answers_within_a_second(server: Served, project: Path) -> None:
    assert version(server) == "one"
    save(project, AGENT.format(version="two"))
    assert wait_until(lambda: version(server) == "two") < 1


def test_a_new_agent_is_there_once_it_is_saved(server: Served, project: Path) -> None:
    (project / "agents" / "newcomer.py").write_text(AGENT.format(version="new"))
    wait_until(lambda: server.prompt("newcomer", "me", "Hi").status == 200)


def test_an_agent_whose_file_is_deleted_is_gone_and_that_is_said(server: Served, project: Path) -> None:
    (project / "agents" / "teller.py").unlink()
    wait_until(lambda: server.prompt("teller", "me", "Hi").status == 404)
    wait_until(lambda: "teller.py: removed.\n" in server.output)
    assert not any("taken up" in line or "watchfiles" in line for line in server.output)


def test_the_projects_own_application_is_taken_up_too(server: Served, project: Path) -> None:
    app = project / "app.py"
    app.write_text(app.read_text().replace("/webhooks/support-comments", "/webhooks/moved"))
    wait_until(lambda: server.request("POST", "/webhooks/moved", {}).status == 401)


def test_an_application_that_goes_is_served_until_the_restart_and_that_is_said(server: Served, project: Path) -> None:
    (project / "app.py").unlink()
    wait_until(lambda: any("app.py came or went" in line for line in server.output))
    assert server.request("POST", "/webhooks/support-comments", {}).status == 401
    assert version(server) == "one"


def test_what_a_saved_file_observed_ends_with_it(server: Served, project: Path) -> None:
    watching = """
from flue_actors import observe
from flue_actors.events import Idle

observe(lambda event: print("{word}", event.instance_id, flush=True) if isinstance(event, Idle) else None)
"""
    app = project / "app.py"
    original = app.read_text()
    for word in ("one", "two"):
        app.write_text(original + watching.replace("{word}", word))
        wait_until(lambda word=word: version(server) == "one" and f"{word} me\n" in server.output)
    assert server.prompt("teller", "last", "Hi").status == 200
    wait_until(lambda: "two last\n" in server.output)
    assert "one last\n" not in server.output


def test_a_mistake_is_shown_and_the_version_before_stays(server: Served, project: Path) -> None:
    save(project, "agent = nonsense\n")
    wait_until(lambda: any("not taken up" in line for line in server.output))
    wait_until(lambda: any("agents/teller.py:1" in line for line in server.output))
    assert version(server) == "one"
    save(project, AGENT.format(version="two"))
    wait_until(lambda: version(server) == "two")


def test_a_running_turn_finishes_with_the_version_it_began_with(server: Served, project: Path) -> None:
    with ThreadPoolExecutor() as pool:
        running = pool.submit(server.prompt, "teller", "slow", "wait 1.5\ncall version")
        wait_until(lambda: server.request("GET", "/agents/teller/slow/status").body["state"] == "running")
        save(project, AGENT.format(version="two"))
        wait_until(lambda: version(server) == "two")
        assert not running.done()
        assert running.result().body["result"]["text"].split()[1] == "one"


def test_errors_tell_the_developer_more(server: Served, project: Path) -> None:
    save(
        project,
        "from flue_actors import create_agent, public\n\nguard = public\n\n\n@create_agent\ndef agent(ctx):\n    raise ValueError('on purpose')\n",
    )
    wait_until(lambda: server.prompt("teller", "me", "Hi").status == 500)
    assert "initializer" in server.prompt("teller", "me", "Hi").body["error"]["dev"]
    assert "initializer" in server.prompt_over_socket("teller", "me", "Hi")[-1]["error"]["dev"]
    chat = flue_actors("connect", "teller", "--url", server.url, cwd=project, input="Hi\n")
    assert chat.returncode == 1
    assert "initializer" in chat.stderr
