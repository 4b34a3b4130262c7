"""A project as the commands use it: settings read, files imported, a runtime with its agents and store, not started."""

import os
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from flue_actors import sqlite
from flue_actors.definition.project import Project, load_project
from flue_actors.definition.settings import Settings, load_settings, read_dotenv
from flue_actors.observing import Observer, Unsubscribe
from flue_actors.runtime import Runtime
from flue_actors.storage import Store


class ProjectRuntime(Runtime):
    """A runtime whose project may be imported again: what its files observe ends when newer ones take their place."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings=settings)
        self._observing = ExitStack()
        self._importing: ExitStack | None = None

    @contextmanager
    def loading(self) -> Generator[None]:
        """Bind this runtime while a project's files are imported. If that fails, nothing of theirs stays."""
        with ExitStack() as added, self.bind():
            self._importing = added
            try:
                yield
            finally:
                self._importing = None
            before, self._observing = self._observing, added.pop_all()
            before.close()

    def observe(self, observer: Observer) -> Unsubscribe:
        """See `Runtime.observe`."""
        unsubscribe = super().observe(observer)
        if self._importing is not None:
            self._importing.callback(unsubscribe)
        return unsubscribe


class OpenProject(msgspec.Struct, frozen=True):
    """What `open_project` returns."""

    project: Project
    runtime: ProjectRuntime
    store: Store

    @property
    def settings(self) -> Settings:
        """The settings of its runtime."""
        return self.runtime.settings


def open_project(root: Path, *, dev: bool, flags: Mapping[str, Any] | None = None) -> OpenProject:
    """Load the project in ``root``. With ``dev`` its ``.env`` becomes part of this process's environment.

    Raises:
        ConfigError: No project there, or something of it is wrong; the message says what and where.
    """
    root = root.resolve()
    if dev:
        for name, value in read_dotenv(root).items():
            os.environ.setdefault(name, value)
    runtime = ProjectRuntime(load_settings(root, env=os.environ, dev=dev, flags=flags))
    project = load_project(root, bind=runtime.loading())
    store = project.store if project.store is not None else sqlite(root / runtime.settings.store)
    runtime.redefine(project.agents)
    runtime.use_store(store)
    return OpenProject(project, runtime, store)
