"""A project: a folder with agents, perhaps an application and a store of its own; found, imported once and checked.

    agents/joke_teller.py   `agent`, perhaps `route`, `websocket` or `guard` (both transports): the agent `joke-teller`
    app.py                  `app`: the project's own ASGI application
    db.py                   `store`: where conversations live; a relative path is relative to the project's root

All of it lies in the source root: ``.flue/``, else ``src/``, else the project's root, whichever first has any of it.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

import msgspec

from flue_actors.definition.agent import CreatedAgent
from flue_actors.definition.guards import Guard
from flue_actors.definition.importing import all_or_none, forget, import_file, place_of, put_first_on_path
from flue_actors.errors import ConfigError
from flue_actors.ids import is_name
from flue_actors.storage import Store

_FILE_NAME: Final = re.compile(r"[a-z][a-z0-9_]*\Z")
"""An ordinary module's name, the same on file systems that do not tell upper from lower case."""


class AgentDefinition(msgspec.Struct, frozen=True):
    """An agent as a runtime serves it.

    Attributes:
        name: What callers call it.
        agent: What it is.
        route: Who may reach it over HTTP; None: nobody.
        websocket: Who may open a socket to it; None: nobody.
        aliases: Former names under which it keeps its conversations.
    """

    name: str
    agent: CreatedAgent
    route: Guard | None = None
    websocket: Guard | None = None
    aliases: tuple[str, ...] = ()


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded project.

    Attributes:
        root: The project's folder, absolute.
        source_root: The folder its modules are imported from.
        agents: By name.
        app: ``app`` of ``app.py``, an ASGI application; None without the file.
        store: ``store`` of ``db.py``; None without the file.
    """

    root: Path
    source_root: Path
    agents: dict[str, AgentDefinition]
    app: Any = None
    store: Store | None = None


def load_project(root: Path, *, bind: AbstractContextManager[Any] | None = None) -> Project:
    """Import the project in ``root``; its source root stays first on ``sys.path``.

    Args:
        root: The project's folder.
        bind: Entered while the project's files are imported, such as `flue_actors.context.bound` for the module-level
            short forms.

    Raises:
        ConfigError: There is no project, or one of its files is wrong; it names file and line. None of the files stays
            imported then.
    """
    root = root.resolve()
    source_root = _source_root(root)
    with all_or_none(source_root), bind or nullcontext():
        put_first_on_path(source_root)
        return Project(
            root=root,
            source_root=source_root,
            agents=_load_agents(source_root, root),
            store=_load_store(source_root / "db.py", root),
            app=_load_one(source_root / "app.py", "app", root, callable, "an ASGI application"),
        )


def reload_project(project: Project, *, bind: AbstractContextManager[Any] | None = None) -> Project:
    """Import the project's files anew, helpers included; what is installed stays as it is.

    The caller decides what to take of the result: an open store is not replaced by an equal one.

    Raises:
        ConfigError: As `load_project`; the old modules are back, and ``project`` works on.
    """
    with all_or_none(project.source_root) as modules:
        forget(modules)
        return load_project(project.root, bind=bind)


def _source_root(root: Path) -> Path:
    candidates = (root / ".flue", root / "src", root)
    for folder in candidates:
        if _agent_files(folder) or (folder / "app.py").is_file() or (folder / "db.py").is_file():
            return folder
    raise ConfigError(
        f"There is no project in {root}: no agents/<name>.py, app.py or db.py in .flue/, in src/ or beside them.",
        details="Change to your project's folder, or make a project with: flue-actors init",
    )


def _agent_files(source_root: Path) -> list[Path]:
    files = sorted((source_root / "agents").glob("*.py"))
    return [file for file in files if file.is_file() and not file.name.startswith("_")]


def _load_agents(source_root: Path, root: Path) -> dict[str, AgentDefinition]:
    agents: dict[str, AgentDefinition] = {}
    taken: dict[str | int, str] = {}  # names, aliases and identities of agent values -> where they were defined
    for file in _agent_files(source_root):
        definition = _load_agent(file, root)
        place = place_of("agent", file, root)
        for name in (definition.name, *definition.aliases):
            if name in taken:
                raise ConfigError(
                    f'{place}: the name "{name}" is taken by {taken[name]}.', details="Give one of them another name."
                )
            taken[name] = place
        other = taken.setdefault(id(definition.agent), place)
        if other != place:
            raise ConfigError(
                f"{place}: this is the very agent of {other}.",
                details="Make one of its own with create_agent(...), or prefix the name of a shared file with _.",
            )
        agents[definition.name] = definition
    return agents


def _load_agent(file: Path, root: Path) -> AgentDefinition:
    default_name = file.stem.replace("_", "-")
    if not _FILE_NAME.match(file.stem):
        raise ConfigError(
            f'{file.relative_to(root).as_posix()}:1: "{file.stem}" cannot be an agent file\'s name.',
            details="Use a lower-case letter, then lower-case letters, digits and _; or skip the file with a leading _.",
        )
    module = import_file(f"agents.{file.stem}", file, root)
    agent = _attribute(
        module, "agent", file, root, lambda value: isinstance(value, CreatedAgent), "made by create_agent()"
    )
    definition = AgentDefinition(
        name=agent.name or default_name,
        agent=agent,
        route=_guard(module, "route", file, root),
        websocket=_guard(module, "websocket", file, root),
        aliases=tuple(agent.aliases),
    )
    for name in (definition.name, *definition.aliases):
        if not is_name(name):
            raise ConfigError(
                f'{place_of("agent", file, root)}: "{name}" cannot be an agent\'s name.',
                details="A name is a letter, then letters, digits, _ or -.",
            )
    return definition


def _guard(module: ModuleType, transport: str, file: Path, root: Path) -> Guard | None:
    """The transport's own guard, else ``guard``. An own one that is None closes the transport."""
    name = transport if hasattr(module, transport) else "guard"
    guard = getattr(module, name, None)
    if guard is not None and not callable(guard):
        raise ConfigError(
            f"{place_of(name, file, root)}: `{name}` is of type {type(guard).__name__}, not a guard.",
            details=f"Write: async def {name}(request, call_next), or {name} = public",
        )
    return cast("Guard | None", guard)


def _load_store(file: Path, root: Path) -> Store | None:
    store = _load_one(file, "store", root, _is_store, 'a store, such as sqlite("data/flue.db")')
    rebase = getattr(store, "rebase", None)
    if rebase is not None:
        rebase(root)
    return store


def _is_store(value: Any) -> bool:
    return all(callable(getattr(value, name, None)) for name in ("open", "commit", "close"))


def _load_one(file: Path, name: str, root: Path, fits: Callable[[Any], bool], what: str) -> Any:
    """``name`` of a file of the source root; None without the file."""
    if not file.is_file():
        return None
    return _attribute(import_file(file.stem, file, root), name, file, root, fits, what)


def _attribute(module: ModuleType, name: str, file: Path, root: Path, fits: Callable[[Any], bool], what: str) -> Any:
    if not hasattr(module, name):
        raise ConfigError(
            f"{place_of(name, file, root)}: there is no `{name}` in this file.", details=f"Set `{name}`: {what}."
        )
    value = getattr(module, name)
    if not fits(value):
        raise ConfigError(
            f"{place_of(name, file, root)}: `{name}` is of type {type(value).__name__}.",
            details=f"It has to be {what}.",
        )
    return value
