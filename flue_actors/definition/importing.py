"""Importing a project's own files under their ordinary names, all or none, with errors that name the user's line."""

import ast
import importlib
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from importlib.util import cache_from_source, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Final

from flue_actors.errors import ConfigError, FlueError

_INSTALLED: Final = {"site-packages", "dist-packages"}
"""A virtual environment often lies inside the project; what is installed there is not the project's own."""


@contextmanager
def all_or_none(folder: Path) -> Generator[dict[str, ModuleType]]:
    """The loaded modules of ``folder``; if the body raises, exactly these are loaded again."""
    before = modules_below(folder)
    try:
        yield before
    except BaseException:
        forget(modules_below(folder))
        sys.modules.update(before)
        raise


def modules_below(folder: Path) -> dict[str, ModuleType]:
    """The loaded modules whose files are the project's own: below ``folder``, but not installed there."""
    return {name: module for name, module in list(sys.modules.items()) if _is_own_module(name, module, folder)}


def forget(modules: dict[str, ModuleType]) -> None:
    """Have these imported anew from their source.

    Their byte code goes too: it is told from newer source by size and whole seconds, so that a quick second save with as
    many bytes would not count.
    """
    for name, module in modules.items():
        sys.modules.pop(name, None)
        if cached := getattr(module, "__cached__", None):
            _remove(cached)


def put_first_on_path(folder: Path) -> None:
    """Have ``folder``'s modules found before all others."""
    entry = str(folder)
    if sys.path[:1] != [entry]:
        sys.path[:] = [entry, *(each for each in sys.path if each != entry)]
    importlib.invalidate_caches()


def import_file(name: str, file: Path, root: Path) -> ModuleType:
    """Import ``file`` as module ``name``.

    Raises:
        ConfigError: It raised, or another file is loaded under this name.
    """
    package = name.rpartition(".")[0]
    if package:
        _claim_package(package, file.parent)
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        for failed, _ in _own_places(error, root):  # written before it ran; `forget` will not see it, it is not loaded
            _remove(cache_from_source(failed))
        raise _import_error(error, file, root) from error
    _check_place(name, getattr(module, "__file__", None), file)
    return module


def is_own(file: str | Path, folder: Path) -> bool:
    """True for a file below ``folder`` that is not installed there."""
    path = Path(file)
    return path.is_relative_to(folder) and _INSTALLED.isdisjoint(path.relative_to(folder).parts)


def place_of(name: str, file: Path, root: Path) -> str:
    """``agents/joke_teller.py:7``: where ``file`` gives ``name`` its value at the top level; line 1 when it does not."""
    lines = [node.lineno for node in ast.parse(file.read_bytes()).body if name in _names_bound_by(node)]
    return f"{file.relative_to(root).as_posix()}:{lines[-1] if lines else 1}"


def _remove(byte_code: str) -> None:
    with suppress(OSError):
        Path(byte_code).unlink()


def _is_own_module(name: str, module: ModuleType, folder: Path) -> bool:
    spec: ModuleSpec | None = getattr(module, "__spec__", None)
    if spec is None or name == "__main__" or name.partition(".")[0] == "flue_actors":
        return False
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    return any(place is not None and is_own(place, folder) for place in places)


def _claim_package(name: str, folder: Path) -> None:
    """Let package ``name`` mean ``folder``.

    Without an ``__init__.py`` it is made by hand: the import system would prefer an installed package of that name, even
    one later on the path.
    """
    loaded = sys.modules.get(name)
    if loaded is not None:
        if folder.resolve() not in [Path(place).resolve() for place in getattr(loaded, "__path__", ())]:
            _refuse_place(name, getattr(loaded, "__file__", None), folder)
    elif not (folder / "__init__.py").is_file():
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[name] = module_from_spec(spec)


def _check_place(name: str, loaded: str | None, file: Path) -> None:
    if loaded is None or Path(loaded).resolve() != file.resolve():
        _refuse_place(name, loaded, file)


def _refuse_place(name: str, loaded: str | None, wanted: Path) -> None:
    raise ConfigError(
        f'{wanted} cannot be imported as "{name}": this program has loaded {loaded or "something else"} under that name.',
        details="Load the project before the other module, or in a process of its own.",
    )


def _import_error(error: BaseException, file: Path, root: Path) -> ConfigError:
    place = _place_of_error(error, file, root)
    if isinstance(error, FlueError):
        return ConfigError(f"{place}: {error.message}", details=error.details)
    if isinstance(error, SyntaxError):
        return ConfigError(f"{place}: {type(error).__name__}: {error.msg}", details="Correct this line.")
    return ConfigError(
        f"{place}: {type(error).__name__}: {error}", details="This line raised while the project was imported."
    )


def _place_of_error(error: BaseException, file: Path, root: Path) -> str:
    path, line = (_own_places(error, root) or [(file, 1)])[-1]
    return f"{path.relative_to(root).as_posix()}:{line or 1}"


def _own_places(error: BaseException, root: Path) -> list[tuple[Path, int | None]]:
    """File and line of the frames inside the project, outermost first; a file that does not compile has none, but says
    where."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    return [(Path(name), line) for name, line in places if is_own(name, root)]


def _names_bound_by(node: ast.stmt) -> list[str]:
    match node:
        case ast.Assign(targets=targets):
            return [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [each.asname or each.name for each in names]
        case _:
            return []
