"""The chat loop of `flue-actors connect`: a line in, the turn shown, until the lines end."""

import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from importlib import import_module
from typing import Self

import click
from anyio.from_thread import BlockingPortal, start_blocking_portal

from flue_actors.errors import AbortedError, CallerError, FlueError, TurnError, UnavailableError
from flue_actors.gateway.cli.chat import Chat
from flue_actors.gateway.cli.screen import Screen


def converse(opening: AbstractAsyncContextManager[Chat], lines: Iterator[str], screen: Screen) -> bool:
    """Send the lines one by one, each after the last one's answer; True if all of them were answered.

    The event loop runs beside this thread, so that work goes on (and Ctrl-C is heard) while a person thinks. Ctrl-C in
    the middle of an answer aborts it; a second one, and one between two answers, is a `KeyboardInterrupt`.

    Raises:
        FlueError: The conversation could not begin, or broke off.
    """
    answered = True
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(opening) as chat,
        _Loss(portal.start_task_soon(chat.lost)) as loss,
    ):
        while (line := loss.next_of(lines)) is not None:
            if line.strip():
                answered = _answer(portal, chat, line, screen) and answered
    return answered


def _answer(portal: BlockingPortal, chat: Chat, line: str, screen: Screen) -> bool:
    turn = portal.start_task_soon(_turn, chat, line, screen)
    try:
        return turn.result()
    except KeyboardInterrupt:
        portal.call(chat.abort)
        answered = turn.result()
        if not sys.stdin.isatty():
            raise  # there is no prompt to return to
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


async def _turn(chat: Chat, message: str, screen: Screen) -> bool:
    try:
        async for event in chat.ask(message):
            screen.show(event)
    except AbortedError as error:
        screen.note(error.message)  # somebody's wish, most often this person's
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
        except FlueError:  # the conversation ended
            click.echo()
            raise
