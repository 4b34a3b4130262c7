"""The data analyst: its files are stored with the conversation, and are there after a restart."""

import json
from pathlib import Path

from tests.examples.conftest import needs_bashkit
from tests.support.served import Answer, copy_of_examples, served

pytestmark = needs_bashkit
NAME = "data-analyst"
SUM = """awk -F, 'NR > 1 { sum += $3 } END { print "sum:", sum }' data/sales.csv > notes.md; cat notes.md"""


def bash(command: str) -> str:
    """What the scripted model is sent to run a command."""
    return f"call bash {json.dumps({'command': command})}"


def text(answer: Answer) -> str:
    assert answer.status == 200, answer
    return answer.body["result"]["text"]


def test_what_it_wrote_is_there_after_a_restart_and_its_own_alone(tmp_path: Path) -> None:
    folder = copy_of_examples(tmp_path)
    with served(folder) as server:
        assert "sum: 4200" in text(server.prompt(NAME, "ada", bash(SUM)))
        server.process.kill()
        server.process.wait()
    with served(folder) as server:
        assert "sum: 4200" in text(server.prompt(NAME, "ada", 'call read {"path": "notes.md"}'))
        assert "notes.md" not in text(server.prompt(NAME, "bob", bash("ls; ls data")))


def test_there_is_no_machine_around_it(tmp_path: Path) -> None:
    folder = copy_of_examples(tmp_path)
    with served(folder) as server:
        answer = text(server.prompt(NAME, "ada", bash(f"cat {folder}/app.py || echo nothing; curl -sm 1 {server.url}")))
    assert "nothing" in answer
    assert "falcon" not in answer
