"""Taking up saved files in a running process: which saves count, and importing a project's modules anew."""

import importlib
import sys
from collections.abc import AsyncGenerator, Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

import watchfiles
from watchfiles import Change, DefaultFilter

T = TypeVar("T")

_SUFFIXES: Final = {".py", ".md", ".txt"}
_SETTLE_MS: Final = 50
"""A save is often several writes: this long nothing more has to come."""


class SourceFilter(DefaultFilter):
    """Code and the texts beside it; not what runs produce, nor what tools and virtual environments keep."""

    def __call__(self, change: Change, path: str) -> bool:
        return Path(path).suffix in _SUFFIXES and super().__call__(change, path)


async def saved_files(folder: Path) -> AsyncGenerator[list[Path]]:
    """What was saved, batch by batch, until cancelled."""
    watch = watchfiles.awatch  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  # an option of trio's
    async for changes in watch(folder, watch_filter=SourceFilter(), step=_SETTLE_MS):
        yield sorted({Path(path) for _, path in changes})


def import_anew(folder: Path, load: Callable[[], T]) -> T:
    """Call ``load`` with every module of ``folder`` forgotten; if it raises, they are back as they were."""
    before = modules_below(folder)
    _forget(before)
    importlib.invalidate_caches()
    try:
        return load()
    except BaseException:
        _forget(modules_below(folder))
        sys.modules.update(before)
        raise


def modules_below(folder: Path) -> dict[str, ModuleType]:
    """The loaded modules whose files are the project's own: below ``folder``, but not installed there."""
    return {name: module for name, module in list(sys.modules.items()) if _is_own(name, module, folder)}


def _is_own(name: str, module: ModuleType, folder: Path) -> bool:
    spec: ModuleSpec | None = getattr(module, "__spec__", None)
    if spec is None or name.partition(".")[0] == "flue_actors":
        return False
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    return any(place is not None and _is_below(Path(place), folder) for place in places)


def _is_below(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder) and "site-packages" not in path.parts


def _forget(modules: dict[str, ModuleType]) -> None:
    for name in modules:
        sys.modules.pop(name, None)
