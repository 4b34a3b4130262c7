"""Serving a project: `serve` as it is, `dev` with every saved change taken up while it runs."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import click

from flue_actors.definition.project import Project, reload_project
from flue_actors.errors import ConfigError
from flue_actors.gateway.asgi import App, Receive, Scope, Send
from flue_actors.gateway.cli.announcing import announcement, draining
from flue_actors.gateway.cli.opening import OpenProject, ProjectRuntime
from flue_actors.gateway.cli.screen import describe
from flue_actors.gateway.cli.watching import saved_files
from flue_actors.gateway.heap import hold_heap, settle_heap
from flue_actors.gateway.main import serve
from flue_actors.runtime import Runtime


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
    """A project whose files may change while it is served; as an ASGI application, always its newest ``app``."""

    def __init__(self, runtime: ProjectRuntime, project: Project) -> None:
        self._runtime = runtime
        self._project = project
        self._app = project.app

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self._project.source_root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def reload(self) -> bool:
        """Import its files anew and use what they define from the next message on.

        Returns:
            False when ``app.py`` came or went, which only a restart takes up.

        Raises:
            ConfigError: Something of it is wrong now; what was there before stays in use.
        """
        self._project = reload_project(self._project, bind=self._runtime.loading())
        self._runtime.redefine(self._project.agents)
        if (self._project.app is None) != (self._app is None):
            return False
        self._app = self._project.app
        return True


async def _take_up_saves(live: LiveProject) -> None:
    try:
        async for files in saved_files(live.folder):
            _take_up(live, files)
    except (OSError, RuntimeError) as error:  # what the file watcher raises when the system lets it watch no more files
        click.secho(f"Saved changes are not noticed any more: {error}. Restart to take them up.", fg="red", err=True)


def _take_up(live: LiveProject, files: Sequence[Path]) -> None:
    names = ", ".join(file.name for file in files)
    try:
        whole = live.reload()
    except ConfigError as error:
        click.secho(f"{names}: not taken up; the version before stays in use.", fg="red", err=True)
        click.secho(describe(error), fg="red", err=True)
    else:
        for fate, those in (("taken up", True), ("removed", False)):
            if some := ", ".join(file.name for file in files if file.exists() is those):
                click.secho(f"{some}: {fate}.", fg="green", err=True)
        if not whole:
            click.secho("app.py came or went: restart to serve the project with it, or without it.", fg="red", err=True)


LAST_GRACE: Final = 0.5
"""Seconds that what is left when everything has stopped gets to end."""


async def _serve(opened: OpenProject, app: App | None, *, dev: bool) -> None:
    settings = opened.settings
    hold_heap()
    await serve(  # which starts the runtime, so that both stop in one drain
        opened.runtime,
        host=settings.host,
        port=settings.port,
        app=app,
        dev=dev,
        on_listening=partial(_announce, opened),
        on_draining=_say_draining,
    )
    await _leave_stubborn_work(opened.runtime)


async def _leave_stubborn_work(runtime: Runtime) -> None:
    """End the process if work is left that does not end when it is cancelled: the loop's own end would wait for it."""
    stopped = runtime.state == "stopped"
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    stubborn = (await asyncio.wait(left, timeout=LAST_GRACE))[1] if left else left
    if stubborn or not stopped or runtime.snapshot().actors.orphans:
        sys.stdout.flush()
        os._exit(0 if stopped else 1)


def _announce(opened: OpenProject, host: str, port: int) -> None:
    opened.runtime.when_loaded(settle_heap)
    click.echo(announcement(opened.project, opened.store, host, port))


def _say_draining(running: int, seconds: float) -> None:
    click.echo(draining(running, seconds), err=True)
