"""Projects as they lie on disk: what is found, under which names, and what is refused with file and line."""

import importlib
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flue_actors import Runtime, public, sqlite
from flue_actors.context import bound
from flue_actors.definition.project import load_project, reload_project
from flue_actors.errors import ConfigError

AGENT = 'from flue_actors import create_agent\nagent = create_agent(model="scripted/echo")\n'

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Write]:
    """Writes files into a project of this test's own; forgets its modules afterwards.

    Byte code is written, as on users' machines, whatever this process was told: some tests are about old byte code.
    """
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = list(sys.path)

    def files(**contents: str) -> Path:
        for name, text in contents.items():
            file = tmp_path / (name.replace("__", "/") + ".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path.resolve()

    yield files
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        if any(str(place).startswith(str(tmp_path)) for place in places):
            del sys.modules[name]
    importlib.invalidate_caches()


def save_in_the_same_second(file: Path, text: str) -> None:
    """Byte code is told from newer source by size and whole seconds: neither changes here."""
    assert len(text) == file.stat().st_size
    saved = file.stat().st_mtime
    file.write_text(text)
    os.utime(file, (saved, saved))


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
    root = write(agents__a="import agents\n" + AGENT)
    (root / "agents" / "__init__.py").write_text("HERE = True\n")
    project = load_project(root)
    assert list(project.agents) == ["a"]
    assert importlib.import_module("agents").HERE
    assert list(reload_project(project).agents) == ["a"]


def test_the_agents_folder_may_be_a_link(write: Write) -> None:
    root = write(shelf__a=AGENT, shelf__b=AGENT)
    (root / "agents").symlink_to(root / "shelf")
    assert list(load_project(root).agents) == ["a", "b"]


def test_another_programs_agents_package_is_not_replaced(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("agents")
    monkeypatch.setitem(sys.modules, "agents", other)
    assert '"agents"' in refusal(write(agents__a=AGENT))
    assert sys.modules["agents"] is other


def test_a_project_may_have_store_and_gateway_folders_of_its_own(write: Write) -> None:
    root = write(
        agents__a="from gateway.names import NAME\nfrom store.books import BOOKS\nassert (NAME, BOOKS) == ('n', 3)\n"
        + AGENT,
        db='from flue_actors import sqlite\nstore = sqlite("x.db")\n',
        store__books="BOOKS = 3\n",
        gateway__names="NAME = 'n'\n",
    )
    for folder in ("store", "gateway"):
        (root / folder / "__init__.py").write_text("")
    project = load_project(root)
    assert list(project.agents) == ["a"]
    assert importlib.import_module("store").__file__ == str(root / "store" / "__init__.py")
    assert type(project.store) is type(sqlite("x.db"))


def test_a_relative_path_in_db_py_starts_at_the_projects_root(write: Write) -> None:
    root = write(src__agents__a=AGENT, src__db='from flue_actors import sqlite\nstore = sqlite("data/x.db")\n')
    store = load_project(root).store
    assert store is not None
    assert store.description == f"sqlite {root / 'data' / 'x.db'}"


def test_short_forms_mean_the_bound_runtime_while_files_are_imported(write: Write) -> None:
    root = write(agents__a="from flue_actors import observe\nobserve(print)\n" + AGENT)
    assert "agents/a.py:2" in refusal(root)
    runtime = Runtime()
    project = load_project(root, bind=bound(runtime))
    assert list(reload_project(project, bind=bound(runtime)).agents) == ["a"]


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


def test_a_config_error_of_the_users_own_keeps_its_details_and_is_the_cause(write: Write) -> None:
    text = "from flue_actors.errors import ConfigError\nraise ConfigError('No key.', details='Set KEY.')\n"
    with pytest.raises(ConfigError) as error:
        load_project(write(agents__a=text))
    assert (error.value.message, error.value.details) == ("agents/a.py:2: No key.", "Set KEY.")
    assert isinstance(error.value.__cause__, ConfigError)


def test_a_project_that_lies_below_an_installed_folder_still_has_files_of_its_own(write: Write) -> None:
    root = write(**{"site-packages__project__agents__a": "x = 1\n\ny = nonsense\n"}) / "site-packages" / "project"
    assert "agents/a.py:3" in refusal(root)


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


def test_a_refused_project_loads_once_its_file_is_fixed_even_in_the_same_second(write: Write) -> None:
    root = write(agents__a="import helper\n" + AGENT, helper="x = 1/0\n")
    assert "helper.py:1" in refusal(root)
    save_in_the_same_second(root / "helper.py", "x = 1/1\n")
    assert list(load_project(root).agents) == ["a"]


def test_a_helper_saved_after_a_refusal_is_read_again_even_if_it_had_worked(write: Write) -> None:
    root = write(agents__a="from helper import x\nassert x == 2\n" + AGENT, helper="x = 1\n")
    assert "agents/a.py:2" in refusal(root)
    save_in_the_same_second(root / "helper.py", "x = 2\n")
    assert list(load_project(root).agents) == ["a"]


def test_a_reloaded_project_has_what_was_saved_even_in_the_same_second_with_as_many_bytes(write: Write) -> None:
    root = write(agents__a="import helper\n" + AGENT, helper="VALUE = 1\n")
    first = load_project(root)
    save_in_the_same_second(root / "helper.py", "VALUE = 2\n")
    second = reload_project(first)
    assert importlib.import_module("helper").VALUE == 2
    assert second.agents["a"].agent is not first.agents["a"].agent


def test_a_reloaded_project_has_new_files_and_new_guards_and_lacks_removed_ones(write: Write) -> None:
    root = write(agents__a=AGENT, agents__b=AGENT)
    project = load_project(root)
    (root / "agents" / "b.py").unlink()
    write(agents__a=AGENT + "from flue_actors import public\nroute = public\n", agents__c=AGENT)
    reloaded = reload_project(project)
    assert list(reloaded.agents) == ["a", "c"]
    assert reloaded.agents["a"].route is public
    assert "agents.b" not in sys.modules


def test_a_reload_keeps_what_is_installed_in_the_project(write: Write) -> None:
    root = write(agents__a="import test_lib\n" + AGENT)
    installed = root / ".venv" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "test_lib.py").write_text("")
    sys.path.append(str(installed))
    project = load_project(root)
    before = sys.modules["test_lib"]
    reload_project(project)
    assert sys.modules["test_lib"] is before


def test_a_reload_that_fails_leaves_everything_as_it_was(write: Write) -> None:
    root = write(agents__a="import helper\n" + AGENT, helper="")
    project = load_project(root)
    before = {name: sys.modules[name] for name in ("agents", "agents.a", "helper")}
    write(agents__a="import helper\nimport new\nbroken\n", new="")
    with pytest.raises(ConfigError, match=r"agents/a\.py:3"):
        reload_project(project)
    assert {name: sys.modules.get(name) for name in before} == before
    assert "new" not in sys.modules
    assert importlib.import_module("agents.a").agent is project.agents["a"].agent


def test_a_fix_saved_after_a_broken_save_works_even_in_the_same_second(write: Write) -> None:
    root = write(agents__a=AGENT)
    project = load_project(root)
    write(agents__b=AGENT + "x = 1/0\n")
    with pytest.raises(ConfigError, match=r"agents/b\.py:3: ZeroDivisionError"):
        reload_project(project)
    save_in_the_same_second(root / "agents" / "b.py", AGENT + "x = 1/1\n")
    assert list(reload_project(project).agents) == ["a", "b"]
