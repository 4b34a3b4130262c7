"""A project as the commands use it: settings read, files imported, a runtime with its agents and store, not started."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from flue_actors import sqlite
from flue_actors.definition.project import Project, load_project
from flue_actors.definition.settings import Settings, load_settings, read_dotenv
from flue_actors.runtime import Runtime
from flue_actors.storage import Store


class OpenProject(msgspec.Struct, frozen=True):
    """What `open_project` returns."""

    project: Project
    runtime: Runtime
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
    runtime = Runtime(settings=load_settings(root, env=os.environ, dev=dev, flags=flags))
    project = load_project(root, bind=runtime.bind())
    store = project.store if project.store is not None else sqlite(root / runtime.settings.store)
    runtime.redefine(project.agents)
    runtime.use_store(store)
    return OpenProject(project, runtime, store)
