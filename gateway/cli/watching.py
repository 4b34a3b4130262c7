"""Which saves in a project's folder count, and waiting for them."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import watchfiles
from watchfiles import Change, DefaultFilter

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
