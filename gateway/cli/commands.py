"""The commands of ``flue-actors``."""

import asyncio
import logging
import shlex
import sys
from collections.abc import Coroutine, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

import flue_actors
from flue_actors.errors import FlueError, StoreOwnedError
from flue_actors.gateway.cli.announcing import tool
from flue_actors.gateway.cli.scaffold import write_project
from flue_actors.gateway.cli.screen import Screen, describe

DEFAULT_URL: Final = "http://127.0.0.1:3583"
INTERRUPTED: Final = 130

_FOLDER: Final = click.Path(file_okay=False, path_type=Path)


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code: 0, 1 for an error, 2 for wrong usage, 130 after Ctrl-C."""
    try:
        return cli.main(list(arguments), prog_name="flue-actors", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except FlueError as error:
        click.secho(describe(error), fg="red", err=True)
        if error.dev and not isinstance(error, StoreOwnedError):  # whose owner stands in the log already
            click.echo(error.dev, err=True)
        return 1
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(flue_actors.__version__, package_name="flue-actors")
def cli() -> None:
    """Continuing AI agents: make a project, serve it, talk to it."""


@cli.command()
@click.argument("folder", type=_FOLDER, default=Path())
def init(folder: Path) -> None:
    """Write a small project that runs into FOLDER (default: here). Overwrites nothing."""
    for path in write_project(folder):
        click.echo(f"  wrote {folder / path}")
    step_in = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))}\n  "
    program = tool("flue-actors")
    click.echo(f"\nNow:\n  {step_in}{program} connect joke-teller --local\n  {program} dev")


@cli.command()
@click.option("--root", type=_FOLDER, default=Path(), help="The project's folder (default: here).")
@click.option("--host", help="Where to listen (default: 127.0.0.1).")
@click.option("--port", type=int, help="0 picks a free one (default: 3583).")
def dev(root: Path, host: str | None, port: int | None) -> None:
    """Serve the project and take up every saved change; callers see what errors say to developers."""
    from flue_actors.gateway.cli.opening import open_project
    from flue_actors.gateway.cli.serving import develop_project

    _log_to_stderr()
    _run_loop(develop_project(open_project(root, dev=True, flags={"host": host, "port": port})))


@cli.command()
@click.option("--root", type=_FOLDER, default=Path(), help="The project's folder (default: here).")
@click.option("--host", help="Where to listen (default: 127.0.0.1).")
@click.option("--port", type=int, help="0 picks a free one (default: 3583).")
def serve(root: Path, host: str | None, port: int | None) -> None:
    """Serve the project. Stops on SIGINT and SIGTERM, when what runs has finished."""
    from flue_actors.gateway.cli.opening import open_project
    from flue_actors.gateway.cli.serving import serve_project

    _log_to_stderr()
    _run_loop(serve_project(open_project(root, dev=False, flags={"host": host, "port": port})))


@cli.command()
@click.argument("agent")
@click.argument("id", default="me")
@click.option("--session", default="default", show_default=True, help="Which of the instance's conversations.")
@click.option("--url", default=DEFAULT_URL, show_default=True, help="The server, with the agents' prefix if any.")
@click.option("--token", envvar="FLUE_TOKEN", help="Sent as a bearer token (or: the variable FLUE_TOKEN).")
@click.option("--local", is_flag=True, help="Run the project in this process, without a server.")
@click.option("--root", type=_FOLDER, default=Path(), help="With --local: the project's folder (default: here).")
def connect(agent: str, id: str, session: str, url: str, token: str | None, local: bool, root: Path) -> None:
    """Chat with instance ID (default: me) of AGENT. Ctrl-D ends. From a pipe: one message per line.

    A line "/attach PATH" puts a picture or file to the next message.
    """
    from flue_actors.gateway.cli.conversing import converse, typed_lines
    from flue_actors.gateway.cli.dialing import Target
    from flue_actors.gateway.cli.local import local_chat
    from flue_actors.gateway.cli.remote import remote_chat

    typing = sys.stdin.isatty()
    screen = Screen(thinking=typing)
    if local:
        chat = local_chat(root, agent, id, session=session)
    else:
        chat = remote_chat(Target(url, agent, id, token), session=session)
    greeting = f"{agent}/{id} {'in this process' if local else f'at {url}'}. Ctrl-D ends."
    if not converse(chat, typed_lines(greeting), screen, catch_up=typing):
        raise click.exceptions.Exit(1)


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("httpx2", "uvicorn", "watchfiles"):  # a line for every request or look is no news
        logging.getLogger(name).setLevel(logging.WARNING)


def _run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where there is one: about a third more requests per second."""
    if find_spec("uvloop") is None:
        asyncio.run(main)
        return
    import uvloop

    uvloop.run(main)
