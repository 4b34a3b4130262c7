"""What becomes of a line that a person typed: a message, a file for the next one, or a decision."""

import sys
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from anyio.from_thread import BlockingPortal

from flue_actors.definition.attaching import File, Image
from flue_actors.errors import AbortedError, CallerError, TurnError, UnavailableError
from flue_actors.events import ApprovalRequested
from flue_actors.gateway.cli.chat import Chat, Question
from flue_actors.gateway.cli.deciding import decision_in
from flue_actors.gateway.cli.enclosing import read_file
from flue_actors.gateway.cli.screen import Screen

ATTACH: Final = "/attach"


class Talk:
    """One person's side of a conversation, in that person's thread. ``next_line`` is None at the end."""

    def __init__(self, portal: BlockingPortal, chat: Chat, screen: Screen, next_line: Callable[[], str | None]) -> None:
        self._portal = portal
        self._chat = chat
        self._screen = screen
        self._next_line = next_line
        self._enclosed: list[Image | File] = []

    def catch_up(self) -> None:
        """Have everything decided that waits for it."""
        for question in self._portal.call(self._chat.questions):
            self._ask(question)

    def take(self, line: str) -> bool:
        """Do what the line says; False if that did not work.

        Raises:
            UnavailableError: The conversation is over, or nobody is left to decide on something.
        """
        command, _, path = line.partition(" ")
        return self._enclose(path.strip()) if command.rstrip() == ATTACH else self._send(line)

    def _enclose(self, path: str) -> bool:
        try:
            found = read_file(path)
        except CallerError as error:
            self._screen.fail(error)
            return False
        self._enclosed.append(found)
        self._screen.note(f"[{path} goes with your next message]")
        return True

    def _send(self, message: str) -> bool:
        enclosed, self._enclosed = self._enclosed, []
        questions: SimpleQueue[Question | None] = SimpleQueue()
        turn = self._portal.start_task_soon(self._turn, message, enclosed, questions)
        turn.add_done_callback(lambda _: questions.put(None))
        try:
            while (question := questions.get()) is not None:
                self._ask(question)
            return turn.result()
        except KeyboardInterrupt:
            self._portal.call(self._chat.abort)
            answered = turn.result()
            if not sys.stdin.isatty():
                raise  # there is no prompt to return to
            return answered

    async def _turn(
        self, message: str, enclosed: list[Image | File], questions: "SimpleQueue[Question | None]"
    ) -> bool:
        screen = self._screen
        try:
            async for event in self._chat.ask(message, enclosed):
                screen.show(event)
                if isinstance(event, ApprovalRequested):
                    questions.put(Question(event.approval_id, event.tool_name, event.args))
        except AbortedError as error:
            screen.note(error.message)  # somebody's wish, most often this person's
        except (CallerError, TurnError) as error:
            screen.fail(error)
            return False
        finally:
            screen.end()
        return True

    def _ask(self, question: Question) -> None:
        self._screen.ask(question)
        while (said := self._next_line()) is not None:
            if (found := decision_in(said)) is not None:
                try:
                    self._portal.call(self._chat.decide, question.id, *found)
                except (CallerError, TurnError) as error:
                    self._screen.note(f"[{error.message}]")
                return
            self._screen.note("[y, or n and perhaps why]")
        raise UnavailableError(
            "A tool call waits for a decision.",
            details="Connect again to decide on it; without one it is denied in a day.",
        )
