"""Projects as they lie on disk: what is found, under which names, and what is refused with file and line."""

import importlib
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flue_actors import public
from flue_actors.definition.project import load_project, reload_project
from flue_actors.errors import ConfigError

AGENT = 'from flue_actors import create_agent\nagent = create_agent(model="scripted/echo")\n'

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Generator[Write]:
    """Writes files into a project of this test's own; forgets its modules afterwards."""
    modules, path = dict(sys.modules), list(sys.path)

    def files(**contents: str) -> Path:
        for name, text in contents.items():
            file = tmp_path / (name.replace("__", "/") + ".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path.resolve()

    yield files
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]
    importlib.invalidate_caches()


def refusal(root: Path) -> str:
    with pytest.raises(ConfigError) as error:
        load_project(root)
    return error.value.message


def test_a_file_is_an_agent_named_after_it(write: Write) -> None:
    project = load_project(write(agents__joke_teller=AGENT, agents__echo=AGENT))
    assert sorted(project.agents) == ["echo", "joke-teller"]
    assert [definition.name for definition in project.agents.values()] == list(project.agents)


def test_an_agent_is_the_same_object_for_everyone_who_imports_it(write: Write) -> None:
    root = write(
        agents__joke_teller=AGENT,
        app="from agents.joke_teller import agent\nasync def app(scope, receive, send): ...\n",
    )
    project = load_project(root)
    module = importlib.import_module("agents.joke_teller")
    assert project.agents["joke-teller"].agent is module.agent
    assert importlib.import_module("app").agent is module.agent
    assert project.app is importlib.import_module("app").app


@pytest.mark.parametrize("folder", [".flue", "src"])
def test_the_source_root_may_be_a_folder_of_the_project(write: Write, folder: str) -> None:
    root = write(**{f"{folder}__agents__a": "from shared import AGENT as agent\n", f"{folder}__shared": ""})
    (root / folder / "shared.py").write_text(AGENT.replace("agent =", "AGENT ="))
    project = load_project(root)
    assert (project.root, project.source_root) == (root, root / folder)
    assert list(project.agents) == ["a"]
    assert sys.path[0] == str(root / folder)


def test_dot_flue_comes_before_src_and_src_before_the_root(write: Write) -> None:
    root = write(agents__of_root=AGENT, src__agents__of_src=AGENT)
    assert list(load_project(root).agents) == ["of-src"]


def test_a_src_folder_of_something_else_is_not_the_source_root(write: Write) -> None:
    root = write(agents__a=AGENT, src__lib__code="")
    assert load_project(root).source_root == root


def test_files_that_begin_with_an_underscore_and_folders_are_no_agents(write: Write) -> None:
    root = write(agents___shared="raise RuntimeError", agents__a=AGENT, agents__deep__b="raise RuntimeError")
    assert list(load_project(root).agents) == ["a"]


def test_a_guard_serves_both_transports_and_each_may_have_its_own(write: Write) -> None:
    guarded = AGENT + "from flue_actors import public\n"
    root = write(
        agents__hidden=AGENT,
        agents__both=guarded + "guard = public\n",
        agents__http=guarded + "route = public\n",
        agents__socket=guarded + "websocket = public\n",
        agents__mixed=guarded + "guard = public\ndef route(request, call_next): ...\n",
        agents__closed=guarded + "guard = public\nwebsocket = None\n",
    )
    agents = load_project(root).agents
    open_to = {
        name: (definition.route is public, definition.websocket is public) for name, definition in agents.items()
    }
    assert open_to == {
        "hidden": (False, False),
        "both": (True, True),
        "http": (True, False),
        "socket": (False, True),
        "mixed": (False, True),
        "closed": (True, False),
    }
    assert agents["hidden"].route is None
    assert agents["mixed"].route is importlib.import_module("agents.mixed").route


def test_a_name_of_its_own_and_aliases_replace_the_files(write: Write) -> None:
    text = AGENT.replace('"scripted/echo"', '"scripted/echo", name="new", aliases=["old", "older"]')
    (definition,) = load_project(write(agents__file=text)).agents.values()
    assert (definition.name, definition.aliases) == ("new", ("old", "older"))


def test_db_py_names_the_store(write: Write) -> None:
    root = write(agents__a=AGENT, db="from flue_actors import memory_store\nstore = memory_store()\n")
    assert load_project(root).store is importlib.import_module("db").store


def test_what_is_passed_as_bind_holds_while_files_are_imported(write: Write) -> None:
    root = write(agents__a="import test_probe\nassert test_probe.inside\n" + AGENT, test_probe="inside = False\n")
    sys.path.insert(0, str(root))

    @contextmanager
    def bind() -> Generator[None]:
        probe: Any = importlib.import_module("test_probe")
        probe.inside = True
        yield
        probe.inside = False

    load_project(root, bind=bind())
    assert importlib.import_module("test_probe").inside is False


def test_an_installed_package_called_agents_does_not_get_in_the_way(write: Write, tmp_path: Path) -> None:
    installed = tmp_path / "installed" / "agents"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("raise RuntimeError('the other one')")
    sys.path.append(str(installed.parent))
    assert list(load_project(write(agents__a=AGENT)).agents) == ["a"]


def test_agents_may_be_an_ordinary_package(write: Write) -> None:
    root = write(agents____init__="", agents__a="import agents\n" + AGENT)
    (root / "agents" / "__init__.py").write_text("HERE = True\n")
    assert list(load_project(root).agents) == ["a"]
    assert importlib.import_module("agents").HERE


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n", ["agents/a.py:1", "agent"]),
        ("x = 1\nagent = 3\n", ["agents/a.py:2", "int"]),
        ("def agent(ctx): ...\n", ["agents/a.py:1", "function"]),
        (AGENT + "route = 3\n", ["agents/a.py:3", "route", "int"]),
        (AGENT + "\nguard = 'x'\n", ["agents/a.py:4", "guard", "str"]),
        (AGENT + "websocket: int = 3\n", ["agents/a.py:3", "websocket"]),
        ("x = 1\ny = nonsense\n", ["agents/a.py:2", "NameError", "nonsense"]),
        ("import sys\n\nimport no_such_module\n", ["agents/a.py:3", "no_such_module"]),
        ("x = 1\nif x\n    y = 2\n", ["agents/a.py:2", "SyntaxError"]),
        (
            "from flue_actors import create_agent\nagent = create_agent(modle='x')\n",
            ["agents/a.py:2", "modle", "model"],
        ),
        ("from flue_actors import tool\n\n@tool\ndef f(a): 'Doc.'\n", ["agents/a.py:3", '"f"', '"a"']),
    ],
)
def test_a_wrong_agent_file_is_refused_with_its_line(write: Write, text: str, words: list[str]) -> None:
    message = refusal(write(agents__a=text))
    assert [word for word in words if word not in message] == []


def test_an_error_names_the_innermost_line_of_the_project(write: Write) -> None:
    root = write(
        agents__a="import helper\nhelper.work()\n", helper="def work():\n    import json\n    json.loads('[')\n"
    )
    with pytest.raises(ConfigError, match=r"helper\.py:3: JSONDecodeError") as error:
        load_project(root)
    assert error.value.__cause__ is not None


def test_a_file_that_leaves_the_program_is_refused_too(write: Write) -> None:
    assert "agents/a.py:2" in refusal(write(agents__a="import sys\nsys.exit(3)\n"))


@pytest.mark.parametrize("name", ["joke-teller", "1st", "Joke", "jöke", "a.b"])
def test_an_odd_file_name_is_refused(write: Write, name: str) -> None:
    root = write(agents__good=AGENT)
    (root / "agents" / f"{name}.py").write_text(AGENT)
    assert f"agents/{name}.py:1" in refusal(root)


def test_two_agents_of_one_name_are_refused(write: Write) -> None:
    named = AGENT.replace('"scripted/echo"', '"scripted/echo", name="b"')
    message = refusal(write(agents__a=named, agents__b=AGENT))
    assert [word for word in ("agents/b.py:2", "agents/a.py:2", '"b"') if word not in message] == []


def test_an_alias_may_not_be_another_agents_name(write: Write) -> None:
    aliased = AGENT.replace('"scripted/echo"', '"scripted/echo", aliases=["b"]')
    assert '"b"' in refusal(write(agents__a=aliased, agents__b=AGENT))


def test_one_agent_in_two_files_is_refused(write: Write) -> None:
    message = refusal(write(agents__a=AGENT, agents__b="from agents.a import agent\n"))
    assert [word for word in ("agents/b.py:1", "agents/a.py:2") if word not in message] == []


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"app": "x = 1\n"}, "app.py:1"),
        ({"app": "x = 1\napp = 3\n"}, "app.py:2"),
        ({"db": "x = 1\n"}, "db.py:1"),
        ({"db": "\nstore = 3\n"}, "db.py:2"),
    ],
)
def test_a_wrong_app_or_db_file_is_refused_with_its_line(write: Write, files: dict[str, str], place: str) -> None:
    assert place in refusal(write(agents__a=AGENT, **files))


def test_a_refused_project_leaves_nothing_imported(write: Write) -> None:
    root = write(agents__a=AGENT, agents__b="raise RuntimeError('b')\n")
    refusal(root)
    assert not {name for name in sys.modules if name.startswith("agents")}
    write(agents__b=AGENT)
    assert sorted(load_project(root).agents) == ["a", "b"]


def test_a_reloaded_project_has_what_was_saved_even_in_the_same_second_with_as_many_bytes(write: Write) -> None:
    root = write(agents__a="import helper\n" + AGENT, helper="VALUE = 1\n")
    first = load_project(root)
    write(helper="VALUE = 2\n")
    second = reload_project(first)
    assert importlib.import_module("helper").VALUE == 2
    assert second.agents["a"].agent is not first.agents["a"].agent


def test_a_reload_that_fails_leaves_everything_as_it_was(write: Write) -> None:
    root = write(agents__a=AGENT)
    project = load_project(root)
    write(agents__a="broken\n")
    with pytest.raises(ConfigError, match=r"agents/a\.py:1"):
        reload_project(project)
    assert importlib.import_module("agents.a").agent is project.agents["a"].agent
