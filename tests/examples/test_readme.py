"""The README's commands, word for word but for the port, against the example project."""

import importlib.util
import os
import re
import shutil
import subprocess

import pytest

from tests.quality import markdown
from tests.quality.repository import BIN, ROOT
from tests.support.served import Served, environment

README = ROOT / "README.md"


def command(start: str, server: Served) -> str:
    """The README's line that begins so."""
    lines = [line for block in markdown.blocks(README) if block.language == "sh" for line in block.text.splitlines()]
    (found,) = [line for line in lines if line.startswith(start)]
    return found.replace(".venv/bin", str(BIN)).replace("127.0.0.1:3583", f"127.0.0.1:{server.port}")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_line_answers(examples: Served) -> None:
    done = subprocess.run(
        command("curl", examples), shell=True, capture_output=True, text=True, check=True, env=environment()
    )
    assert '"result"' in done.stdout


def test_the_websocket_line_answers_the_frame_to_paste(examples: Served) -> None:
    (frame,) = re.findall(r'`(\{"version".*?\})`', README.read_text())
    with subprocess.Popen(
        command(".venv/bin/python -m websockets", examples).split(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(PYTHONUNBUFFERED="1"),
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(frame + "\n")
        client.stdin.flush()
        seen = next((line for line in client.stdout if '"type":"result"' in line), "")
        client.terminate()
    assert '"text":' in seen


def test_the_connect_line_answers(examples: Served) -> None:
    arguments = [*command(".venv/bin/flue-actors connect", examples).split(), "--url", examples.url]
    done = subprocess.run(arguments, input="Hello!\n", capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_make_run_is_what_the_suite_serves() -> None:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--dry-run", "run"], cwd=ROOT, env=outside, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "cd examples && ../.venv/bin/flue-actors serve"


EXAMPLES = ROOT / "examples" / "README.md"
COMMANDS = [block for block in re.split(r"\n(?! {4})", EXAMPLES.read_text()) if "    curl" in block]
PATIENT = 'curl() { command curl --fail-with-body -sS --retry 5 --retry-all-errors --retry-delay 1 "$@"; }; set -e\n'


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("commands", COMMANDS, ids=[re.findall(r"3583/(\S+)", block)[0] for block in COMMANDS])
def test_the_commands_for_the_examples_do_what_they_say(commands: str, examples: Served) -> None:
    if "data-analyst" in commands and importlib.util.find_spec("bashkit") is None:
        pytest.skip("needs bashkit: the extra flue-actors[virtual]")
    script = PATIENT + commands.replace("127.0.0.1:3583", f"127.0.0.1:{examples.port}")
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, env=environment(), timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"error"' not in done.stdout
