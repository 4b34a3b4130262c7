"""The commands as a person runs them: each in a process of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.served import Served, copy_of_examples, environment, flue_actors, served


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    with served(copy_of_examples(tmp_path_factory.mktemp("served"))) as server:
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_of_examples(tmp_path)


def test_a_new_project_answers_at_once_without_a_server(tmp_path: Path) -> None:
    made = flue_actors("init", "mine", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.endswith(" dev\n")
    done = flue_actors("connect", "joke-teller", "--local", cwd=tmp_path / "mine", input="Hello!\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_what_init_says_to_type_next_works_in_any_shell(tmp_path: Path) -> None:
    bin = Path(sys.executable).parent
    for path in ("/usr/bin:/bin", f"{bin}:/usr/bin:/bin"):
        folder = tmp_path / f"my agents {len(path)}"
        said = flue_actors("init", str(folder), cwd=tmp_path, env={"PATH": path}).stdout
        step_in, connect, _dev = [line.strip() for line in said.splitlines()[-3:]]
        done = subprocess.run(
            f"{step_in} && {connect}",
            shell=True,
            cwd=tmp_path,
            env=environment(PATH=path),
            input="Hello!\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert connect.startswith("flue-actors") == (str(bin) in path)


def test_a_project_is_never_overwritten(tmp_path: Path) -> None:
    flue_actors("init", cwd=tmp_path)
    again = flue_actors("init", cwd=tmp_path)
    assert again.returncode == 1
    assert "already has agents/joke_teller.py" in again.stderr


def test_the_env_file_counts_in_development_and_not_in_service(project: Path) -> None:
    (project / ".env").write_text("FLUE_MODEL=scripted/paced?deltas=1&size=3\n")
    local = flue_actors("connect", "joke-teller", "--local", cwd=project, input="Hello!\n")
    assert local.stdout == "abc\n"
    with served(project) as server:
        assert server.prompt("joke-teller", "me", "Hello!").body["result"]["text"] != "abc"


def test_a_local_conversation_goes_on_the_next_time(project: Path) -> None:
    arguments = ("connect", "support-assistant", "t1", "--local")
    first = flue_actors(*arguments, cwd=project, input="Hello!\nAgain!\n")
    second = flue_actors(*arguments, cwd=project, input="And again!\n")
    assert first.stdout == "echo: Hello! (1 messages)\necho: Again! (3 messages)\n"
    assert second.stdout == "echo: And again! (5 messages)\n"


def test_a_conversation_over_the_server_shows_tools_beside_the_reply(examples: Served, tmp_path: Path) -> None:
    arguments = ("connect", "joke-teller", "tools", "--url", examples.url)
    done = flue_actors(*arguments, cwd=tmp_path, input="call nothing\n")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[nothing {}]\n[nothing failed]\n"


def test_a_message_without_an_answer_is_exit_code_1_and_the_next_one_is_answered(
    examples: Served, tmp_path: Path
) -> None:
    arguments = ("connect", "joke-teller", "failing", "--url", examples.url)
    done = flue_actors(*arguments, cwd=tmp_path, input="fail 400\nHello!\n")
    assert done.returncode == 1
    assert "did not take the request" in done.stderr
    assert done.stdout.strip()


def test_a_token_opens_a_guarded_agent(examples: Served, tmp_path: Path) -> None:
    arguments = ("connect", "live-desk", "ticket-8472", "--url", examples.url)
    refused = flue_actors(*arguments, cwd=tmp_path, input="Hello!\n")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--token or FLUE_TOKEN" in refused.stderr
    done = flue_actors(*arguments, cwd=tmp_path, input="Hello!\n", env={"FLUE_TOKEN": "token-of-ada"})
    assert done.stdout == "echo: Hello! (1 messages)\n"


def test_an_agent_the_server_does_not_have_is_said_so(examples: Served, tmp_path: Path) -> None:
    done = flue_actors("connect", "joke-taler", "--url", examples.url, cwd=tmp_path)
    assert done.returncode == 1
    assert 'Check that the server has an agent "joke-taler"' in done.stderr


def test_an_agent_the_project_does_not_have_names_the_nearest(project: Path) -> None:
    done = flue_actors("connect", "joke-taler", "--local", cwd=project)
    assert done.returncode == 1
    assert 'Did you mean "joke-teller"?' in done.stderr


def test_no_server_is_said_with_the_way_to_start_one(tmp_path: Path) -> None:
    done = flue_actors("connect", "joke-teller", "--url", "http://127.0.0.1:9", cwd=tmp_path)
    assert done.returncode == 1
    assert "No server answers at http://127.0.0.1:9" in done.stderr
    assert "flue-actors dev" in done.stderr


@pytest.mark.parametrize("command", [("serve",), ("dev",), ("connect", "a", "--local")], ids=lambda each: each[0])
def test_no_project_is_said_with_the_way_to_make_one(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = flue_actors(*command, cwd=tmp_path)
    assert done.returncode == 1
    assert f"There is no project in {tmp_path}" in done.stderr
    assert "flue-actors init" in done.stderr


def test_a_mistake_in_a_projects_file_names_file_and_line(project: Path) -> None:
    (project / "agents" / "broken.py").write_text(
        "from flue_actors import create_agent\n\nagent = create_agent(modell='x')\n"
    )
    done = flue_actors("serve", cwd=project)
    assert done.returncode == 1
    assert "agents/broken.py:3" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_said(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = flue_actors("serve", "--port", str(taken.getsockname()[1]), cwd=project)
    assert done.returncode == 1
    assert "Cannot listen on 127.0.0.1" in done.stderr
    assert "--port" in done.stderr


def test_https_to_a_server_without_tls_says_http(examples: Served, tmp_path: Path) -> None:
    url = examples.url.replace("http:", "https:")
    done = flue_actors("connect", "joke-teller", "--url", url, cwd=tmp_path, input="Hello!\n")
    assert done.returncode == 1
    assert "named with http://" in done.stderr
    assert "flue-actors dev" not in done.stderr


def test_a_store_that_another_process_owns_is_said(project: Path) -> None:
    with served(project):
        done = flue_actors("connect", "joke-teller", "--local", cwd=project, input="Hello!\n")
    assert done.returncode == 1
    assert "in use by another process" in done.stderr
    assert "leave out --local" in done.stderr
    assert done.stderr.count("flue.db.lock") == 1


def test_wrong_usage_is_exit_code_2(tmp_path: Path) -> None:
    assert flue_actors("connect", cwd=tmp_path).returncode == 2
    assert flue_actors("serve", "--prot", "1", cwd=tmp_path).returncode == 2


def interrupted(process: "subprocess.Popen[str]") -> int:
    """The exit code after Ctrl-C, pressed again when it fell right between two system calls and was not heard."""
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(3)
    raise AssertionError("it goes on")


def chatting(project: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A chat whose lines are written one by one."""
    return subprocess.Popen(
        [sys.executable, "-m", "flue_actors", "connect", "support-assistant", *arguments],
        cwd=project,
        env=environment(PYTHONUNBUFFERED="1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_leaving_a_chat_with_ctrl_c_is_exit_code_130(project: Path) -> None:
    with chatting(project, "--local") as chat:
        assert chat.stdin is not None
        assert chat.stdout is not None
        chat.stdin.write("Hello!\n")
        chat.stdin.flush()
        assert chat.stdout.readline() == "echo: Hello! (1 messages)\n"
        assert interrupted(chat) == 130
        assert chat.stderr is not None
        assert chat.stderr.read().strip() == ""


def test_a_chat_ends_soon_after_its_server(project: Path) -> None:
    agent = project / "agents" / "support_assistant.py"
    agent.write_text(agent.read_text().replace("route = public", "guard = public"))
    with served(project) as server, chatting(project, "--url", server.url) as chat:
        assert chat.stdin is not None
        assert chat.stdout is not None
        assert chat.stderr is not None
        chat.stdin.write("Hello!\n")
        chat.stdin.flush()
        assert chat.stdout.readline() == "echo: Hello! (1 messages)\n"
        server.process.terminate()
        assert chat.wait(20) == 1  # and nobody pressed a key
        assert "The server closed the connection (1001" in chat.stderr.read()


def test_conversations_outlive_the_server(project: Path) -> None:
    with served(project) as server:
        assert server.prompt("support-assistant", "t1", "Hello!").status == 200
    with served(project) as server:
        answer = server.prompt("support-assistant", "t1", "Again!")
    assert answer.body["result"]["text"] == "echo: Again! (3 messages)"


def test_the_announcement_says_where_everything_is(project: Path) -> None:
    with served(project) as server:
        said = "".join(server.output)
        assert os.path.join(project, "data", "flue.db") in said
        assert re.search(rf"curl {server.url}/agents/[a-z-]+/me ", said)
        assert re.search(rf"-m websockets ws://127.0.0.1:{server.port}/agents/[a-z-]+/me\n", said)


def test_a_server_told_to_stop_finishes_what_runs(project: Path) -> None:
    with served(project) as server, ThreadPoolExecutor() as pool:
        running = pool.submit(server.prompt, "support-assistant", "t1", "wait 0.7")
        while server.request("GET", "/agents/support-assistant/t1/status").body["state"] != "running":
            assert not running.done()
        server.process.terminate()
        assert running.result().status == 200
        assert server.process.wait(10) == 0
