"""Approvals, attachments and tasks in `flue-actors connect`, against a real server and without one."""

import asyncio
import io
import subprocess
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from flue_actors.definition.attaching import File, Image
from flue_actors.errors import AbortedError, InvalidRequestError, UnavailableError
from flue_actors.events import ApprovalRequested, Event
from flue_actors.gateway.cli.chat import Question
from flue_actors.gateway.cli.conversing import converse, typed_lines
from flue_actors.gateway.cli.deciding import decision_in
from flue_actors.gateway.cli.enclosing import read_file
from flue_actors.gateway.cli.screen import Screen
from tests.cli.test_interrupting import chatting
from tests.support.served import Served, flue_actors, served

Connect = Callable[[str], "subprocess.CompletedProcess[str]"]

AGENT = '''
from flue_actors import create_agent, define_agent_profile, public, tool
from flue_actors.messages import FileContent, ImageContent, ToolResultMessage, text_of
from flue_actors.testing import FunctionModel, calls

guard = public

@tool(approval=True)
def send(to: str) -> str:
    """Send."""
    return f"sent to {to}"

def answer(request):
    last = request.messages[-1]
    tools = [each.name for each in request.tools]
    said = text_of(last)
    if isinstance(last, ToolResultMessage):
        return "Result: " + " | ".join(text_of(m) for m in request.messages if isinstance(m, ToolResultMessage))
    if "task" not in tools:
        return "a subagent's own words"
    if said.startswith("send "):
        return tuple(calls("send", to=each) for each in said.split()[1:])
    if said.startswith("delegate "):
        return calls("task", agent="worker", prompt=said)
    return "seen: " + ", ".join(part.mime_type for part in last.content if isinstance(part, (ImageContent, FileContent)))

worker = define_agent_profile(name="worker", description="Works.", instructions="Work.")
agent = create_agent(model=FunctionModel(answer), tools=[send], subagents=[worker])
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    (root / "agents").mkdir()
    (root / "agents" / "desk.py").write_text(AGENT)
    return root


@pytest.fixture(scope="module")
def server(project: Path) -> Generator[Served]:
    with served(project, env={"FLUE_STORE": "data/served.db"}) as server:
        yield server


@pytest.fixture(params=["server", "local"])
def connect(request: pytest.FixtureRequest, project: Path, server: Served) -> Connect:
    """Talk to an instance of this test's own."""
    where = ("--local",) if request.param == "local" else ("--url", server.url)
    return lambda input: flue_actors("connect", "desk", request.node.name, *where, cwd=project, input=input)


def test_a_typed_yes_lets_the_tool_run(connect: Connect) -> None:
    done = connect("send a@x\ny\n")
    assert (done.returncode, done.stdout) == (0, "Result: sent to a@x\n")
    assert '[send {"to":"a@x"} needs your approval: y or n?]\n' in done.stderr
    assert "[approved]\n" in done.stderr


def test_every_call_is_asked_about_and_a_no_may_say_why(connect: Connect) -> None:
    done = connect("send a@x b@x\nno, the other one\nyes\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Result: Not run: it was not approved. They say: the other one | sent to b@x\n"
    assert done.stderr.count("needs your approval") == 2
    assert done.stderr.index("[denied]") < done.stderr.index("[approved]")


def test_what_is_neither_yes_nor_no_decides_nothing(connect: Connect) -> None:
    done = connect("send a@x\nperhaps\ny\n")
    assert done.stdout == "Result: sent to a@x\n"
    assert "[y, or n and perhaps why]\n" in done.stderr


def test_a_question_that_nobody_answers_ends_the_chat_and_decides_nothing(connect: Connect) -> None:
    done = connect("send a@x\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "A tool call waits for a decision." in done.stderr
    assert "Traceback" not in done.stderr


def test_what_waits_since_an_earlier_chat_is_asked_about_first(project: Path, server: Served) -> None:
    where = ("waiting", "--url", server.url)
    flue_actors("connect", "desk", *where, cwd=project, input="send a@x\n")
    with chatting(project, *where, agent="desk") as chat:
        chat.read_until("> ")
        chat.type("y")
        chat.read_until("> ")
        settled = server.request("GET", "/agents/desk/waiting/sessions/default").body["entries"]
        chat.type("look")
        chat.read_until("seen: \n> ")
        chat.leave()
        assert chat.process.stderr is not None
        said = chat.process.stderr.read()
    assert '[send {"to":"a@x"} needs your approval: y or n?]' in said
    assert settled


class Asking:
    """A chat whose every message calls a tool that waits for a decision."""

    def __init__(self) -> None:
        self.decided: list[str] = []
        self._aborted = asyncio.Event()

    async def ask(self, message: str, enclosed: Sequence[Image | File] = ()) -> AsyncIterator[Event]:
        yield ApprovalRequested(approval_id=message, tool_name="send", tool_call_id="c", args={}, expires_at="")
        await self._aborted.wait()
        self._aborted.clear()
        raise AbortedError

    async def questions(self) -> list[Question]:
        return []

    async def decide(self, id: str, decision: str, reason: str | None = None) -> None:
        self.decided.append(f"{id} {decision}")
        self._aborted.set()

    async def abort(self) -> None:
        self._aborted.set()

    async def lost(self) -> UnavailableError:
        return await asyncio.get_running_loop().create_future()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_ctrl_c_at_a_question_aborts_the_message_and_the_chat_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys: list[str | type[BaseException]] = ["first", KeyboardInterrupt, "second", "y", EOFError]

    def typed(prompt: str) -> str:
        key = keys.pop(0)
        if isinstance(key, str):
            return key
        raise key

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", typed)
    chat = Asking()
    assert converse(nullcontext(chat), typed_lines("Hello."), Screen(thinking=False))
    assert (keys, chat.decided) == ([], ["second approve"])
    said = capsys.readouterr().err
    assert (said.count("needs your approval"), said.count("The work was aborted.")) == (2, 2)


def test_files_go_with_the_next_message_and_no_other(connect: Connect, project: Path) -> None:
    (project / "my cat.png").write_bytes(b"\x89PNG\r\n\x1a\n cat")
    (project / "notes.md").write_text("# Notes")
    done = connect("/attach my cat.png\n/attach notes.md\nlook\nlook\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "seen: image/png, text/markdown\nseen: \n"
    assert done.stderr == "[my cat.png goes with your next message]\n[notes.md goes with your next message]\n"


def test_a_file_that_cannot_be_sent_is_said_and_the_chat_goes_on(connect: Connect) -> None:
    done = connect("/attach nothing.png\nlook\n")
    assert (done.returncode, done.stdout) == (1, "seen: \n")
    assert "nothing.png cannot be read: No such file or directory." in done.stderr


def test_a_file_without_a_name_is_no_message(connect: Connect) -> None:
    done = connect("/attach\n/attach \n/attached to you\n")
    assert (done.returncode, done.stdout) == (1, "seen: \n")
    assert done.stderr.count("No file is named.\nWrite /attach and the path of a file.") == 2


def test_tasks_stand_beside_the_reply_and_their_words_are_not_taken_for_it(connect: Connect) -> None:
    done = connect("delegate this\n")
    assert done.stdout == "Result: a subagent's own words\n"
    assert "[worker is given: delegate this]\n" in done.stderr
    assert "[the task is done]\n" in done.stderr


@pytest.mark.parametrize(
    ("line", "decision"),
    [
        ("y", ("approve", None)),
        (" YES \n", ("approve", None)),
        ("yes.", ("approve", None)),
        ("n", ("deny", None)),
        ("No: too  late", ("deny", "too  late")),
        ("yes but not now", None),
        ("yesterday", None),
        ("note", None),
        ("", None),
    ],
)
def test_what_is_unclear_is_no_decision(line: str, decision: tuple[str, str | None] | None) -> None:
    assert decision_in(line) == decision


def test_a_file_is_what_its_name_says_else_text(tmp_path: Path) -> None:
    for name, data in {"a.JPG": b"\xff\xd8\xff", "b.pdf": b"%PDF-1", "c.py": b"print()", "d": b"x"}.items():
        (tmp_path / name).write_bytes(data)
    assert read_file(f"{tmp_path}/a.JPG") == Image(b"\xff\xd8\xff", "image/jpeg")
    assert read_file(f"{tmp_path}/b.pdf") == File(b"%PDF-1", "application/pdf", "b.pdf")
    assert read_file(f"{tmp_path}/c.py") == File(b"print()", "text/plain", "c.py")
    assert read_file(f"{tmp_path}/d") == File(b"x", "text/plain", "d")


@pytest.mark.parametrize("name", ["", "a\0b", "missing", ".", "binary"])
def test_what_is_no_file_to_send_says_why(tmp_path: Path, name: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidRequestError):
        read_file(f"{tmp_path}/{name}")
