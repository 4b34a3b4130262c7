"""Serving a project: `serve` as it is, `dev` with every saved change taken up while it runs."""

import asyncio
import logging
from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from flue_actors.definition.project import Project, reload_project
from flue_actors.errors import ConfigError
from flue_actors.gateway.asgi import App, Receive, Scope, Send
from flue_actors.gateway.cli.announcing import announcement
from flue_actors.gateway.cli.opening import OpenProject, ProjectRuntime
from flue_actors.gateway.cli.screen import describe
from flue_actors.gateway.cli.watching import saved_files
from flue_actors.gateway.main import serve

logger = logging.getLogger("flue_actors.cli")


async def serve_project(opened: OpenProject) -> None:
    """Serve until SIGINT or SIGTERM, then drain.

    Raises:
        ConfigError: The address cannot be listened on.
        StoreError: The store cannot be used; another process may own it.
    """
    await _serve(opened, opened.project.app, dev=False)


async def develop_project(opened: OpenProject) -> None:
    """As `serve_project`, and take up what is saved. Running turns keep the configuration they began with."""
    live = LiveProject(opened.runtime, opened.project)
    watching = asyncio.create_task(_take_up_saves(live))
    try:
        await _serve(opened, live if opened.project.app is not None else None, dev=True)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


class LiveProject:
    """A project whose files may change while it is served; as an ASGI application, always the newest ``app``."""

    def __init__(self, runtime: ProjectRuntime, project: Project) -> None:
        self._runtime = runtime
        self._project = project

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self._project.source_root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._project.app(scope, receive, send)

    def reload(self) -> None:
        """Import its files anew and use what they define from the next message on.

        Raises:
            ConfigError: Something of it is wrong now; what was there before stays in use.
        """
        project = reload_project(self._project, bind=self._runtime.loading())
        if (project.app is None) != (self._project.app is None):
            raise ConfigError("app.py came or went.", details="Restart to serve the project with it, or without it.")
        self._runtime.redefine(project.agents)
        self._project = project


async def _take_up_saves(live: LiveProject) -> None:
    async for files in saved_files(live.folder):
        names = ", ".join(file.name for file in files)
        try:
            live.reload()
        except ConfigError as error:
            click.secho(f"{names}: not taken up; the version before stays in use.", fg="red", err=True)
            click.secho(describe(error), fg="red", err=True)
        else:
            click.secho(f"{names}: taken up.", fg="green", err=True)


async def _serve(opened: OpenProject, app: App | None, *, dev: bool) -> None:
    settings = opened.settings
    async with opened.runtime:
        await serve(
            opened.runtime,
            host=settings.host,
            port=settings.port,
            app=app,
            dev=dev,
            on_listening=partial(_announce, opened),
        )


def _announce(opened: OpenProject, host: str, port: int) -> None:
    click.echo(announcement(opened.project, opened.store, host, port))
