"""The chat loop of `flue-actors connect`: a line in, the turn shown, until the lines end."""

import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, suppress
from importlib import import_module

import click
from anyio.from_thread import start_blocking_portal

from flue_actors.errors import CallerError, TurnError
from flue_actors.gateway.cli.remote import Chat
from flue_actors.gateway.cli.screen import Screen


def converse(opening: AbstractAsyncContextManager[Chat], lines: Iterator[str], screen: Screen) -> bool:
    """Send the lines one by one, each after the last one's answer; True if all of them were answered.

    The event loop runs beside this thread, so that work goes on (and Ctrl-C is heard) while a person thinks.

    Raises:
        FlueError: The conversation could not begin, or broke off.
    """
    answered = True
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opening) as chat:
        for line in lines:
            if line.strip():
                answered = portal.call(_turn, chat, line, screen) and answered
    return answered


async def _turn(chat: Chat, message: str, screen: Screen) -> bool:
    try:
        async for event in chat.ask(message):
            screen.show(event)
    except (CallerError, TurnError) as error:
        screen.fail(error)
        return False
    finally:
        screen.end()
    return True


def typed_lines(greeting: str) -> Iterator[str]:
    """The lines of standard input; at a terminal behind a greeting and prompts, with Python's line editor."""
    if not sys.stdin.isatty():
        yield from (line.rstrip("\n") for line in sys.stdin)
        return
    with suppress(ImportError):
        import_module("readline")  # once imported, input() has a history and cursor keys
    click.secho(greeting, fg="bright_black", err=True)
    while True:
        try:
            yield input("> ")
        except EOFError:
            click.echo()
            return
