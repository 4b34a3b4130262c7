"""The chat loop of `flue-actors connect`: line by line until the lines, or the conversation, end."""

import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from importlib import import_module
from typing import Self

import click
from anyio.from_thread import start_blocking_portal

from flue_actors.errors import FlueError, UnavailableError
from flue_actors.gateway.cli.chat import Chat
from flue_actors.gateway.cli.screen import Screen
from flue_actors.gateway.cli.talking import Talk


def converse(
    opening: AbstractAsyncContextManager[Chat], lines: Iterator[str], screen: Screen, *, catch_up: bool = False
) -> bool:
    """Send the lines one by one, each after the last one's answer; True if all of them were answered.

    The event loop runs beside this thread, so that work goes on (and Ctrl-C is heard) while a person thinks. Ctrl-C in
    the middle of an answer aborts it; a second one, and one between two answers, is a `KeyboardInterrupt`.

    Args:
        catch_up: Ask first about what waits for a decision since an earlier conversation.

    Raises:
        FlueError: The conversation could not begin, or broke off.
    """
    answered = True
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(opening) as chat,
        _Loss(portal.start_task_soon(chat.lost)) as loss,
    ):
        talk = Talk(portal, chat, screen, lambda: loss.next_of(lines))
        if catch_up:
            talk.catch_up()
        while (line := loss.next_of(lines)) is not None:
            if line.strip():
                answered = talk.take(line) and answered
    return answered


class _Loss:
    """Ends this thread's wait for a line when the conversation ends: a blocking read hears nothing but a signal."""

    def __init__(self, lost: "Future[UnavailableError]") -> None:
        self._lost = lost
        self._thread = threading.get_ident()
        self._reading = False

    def __enter__(self) -> Self:
        if sys.platform != "win32":
            signal.signal(signal.SIGUSR1, self._give_up)
        self._lost.add_done_callback(self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        if sys.platform != "win32":
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # one may still be on its way
        self._lost.cancel()

    def next_of(self, lines: Iterator[str]) -> str | None:
        """The next line; None at their end.

        Raises:
            UnavailableError: The conversation ended meanwhile.
        """
        self._reading = True
        try:
            return next(lines, None)
        finally:
            self._reading = False

    def _interrupt(self, _: object) -> None:
        if self._reading and sys.platform != "win32":
            signal.pthread_kill(self._thread, signal.SIGUSR1)

    def _give_up(self, *_: object) -> None:
        raise self._lost.result()


def typed_lines(greeting: str) -> Iterator[str]:
    """The lines of standard input; at a terminal behind a greeting and prompts, with Python's line editor.

    There the next line can still be asked for when Ctrl-C broke off one.
    """
    if not sys.stdin.isatty():
        return (line.rstrip("\n") for line in sys.stdin)
    with suppress(ImportError):
        import_module("readline")  # once imported, input() has a history and cursor keys
    click.secho(greeting, fg="bright_black", err=True)
    return iter(_typed_line, None)


def _typed_line() -> str | None:
    try:
        return input("> ")
    except EOFError:
        click.echo()
        return None
    except FlueError:  # the conversation ended
        click.echo()
        raise
