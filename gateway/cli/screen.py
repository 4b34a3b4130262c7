"""What a person sees of a turn: the reply on stdout as it grows, everything else on stderr."""

from textwrap import shorten
from typing import Any, Final

import click
import msgspec
from msgspec import UNSET

from flue_actors.errors import FlueError
from flue_actors.events import (
    ApprovalDecided,
    Event,
    Log,
    MessageEnd,
    MessageSnapshot,
    MessageStart,
    Operation,
    StreamInterrupted,
    Task,
    TaskStart,
    TextDelta,
    ThinkingDelta,
    ToolCallEnd,
    ToolStart,
)
from flue_actors.gateway.cli.chat import Question, Reconnected
from flue_actors.messages import AssistantMessage, TextContent

_QUIET: Final = "bright_black"
_LINE: Final = 100
"""Characters of a task that are shown."""


class Screen:
    """Shows one conversation. ``thinking`` also shows the model's reasoning."""

    def __init__(self, *, thinking: bool) -> None:
        self._thinking = thinking
        self._open = ""  # which kind of text the cursor's line belongs to; "" at a line's start
        self._reply = ""  # what is shown of the reply that grows, or of the last one
        self._gap = False  # some of it may be missing: what follows is shown when the whole of it is known

    def show(self, event: Event | Reconnected) -> None:
        """Show what of this event is worth reading."""
        match event:
            case Reconnected():
                self._gap = True
                self.note("[the connection was lost and is there again]")
            case _ if event.task_id is not UNSET:
                self._show_beside(event)
            case TextDelta(text=text):
                if not self._gap:
                    self._grow(text)
            case MessageStart(message=AssistantMessage()):
                self._reply, self._gap = "", False
            case MessageSnapshot(message=message) | MessageEnd(message=AssistantMessage() as message):
                self._catch_up("".join([part.text for part in message.content if isinstance(part, TextContent)]))
            case Operation(result=result) if self._gap and result is not UNSET:
                self._catch_up(result.text)
            case ThinkingDelta(delta=delta) if self._thinking and not self._gap:
                self._write("thinking", delta)
            case _:
                self._show_beside(event)

    def ask(self, question: Question) -> None:
        """Ask whether a tool may run."""
        self.note(f"[{question.tool_name} {_json(question.args)} needs your approval: y or n?]")

    def note(self, text: str) -> None:
        """A line beside the conversation."""
        self.end()
        click.secho(text, fg=_QUIET, err=True)

    def fail(self, error: FlueError) -> None:
        """Say why there is no reply."""
        self.end()
        click.secho(describe(error), fg="red", err=True)

    def end(self) -> None:
        """End the line that is open, if any."""
        if self._open:
            click.echo(err=self._open == "thinking")
        self._open = ""

    def _show_beside(self, event: Event) -> None:
        match event:
            case ToolStart(tool_name=name, args=args):
                self.note(f"[{name} {_json(args)}]")
            case ToolCallEnd(tool_name=name, is_error=True):
                self.note(f"[{name} failed]")
            case Log(level="warn" | "error", message=message):
                self.note(f"[{message}]")
            case StreamInterrupted(kept=kept):
                self.note("[the server was interrupted; the reply goes on]" if kept else "[the server was interrupted]")
            case TaskStart(agent=agent, prompt=prompt):
                who = "a subagent" if agent is UNSET else agent
                self.note(f"[{who} is given: {shorten(prompt, _LINE, placeholder='...')}]")
            case Task(is_error=is_error):
                self.note(f"[the task {'failed' if is_error else 'is done'}]")
            case ApprovalDecided(decision=decision, by=by):
                self.note(f"[{decision}{'' if by is UNSET else f' by {by}'}]")
            case _:
                pass

    def _grow(self, text: str) -> None:
        self._reply += text
        self._write("reply", text)

    def _catch_up(self, whole: str) -> None:
        """Show what is missing of the reply, all of which is ``whole``."""
        self._gap = False
        if self._reply.startswith(whole):
            return  # a server that was killed may have kept less than it had sent
        if not whole.startswith(self._reply):
            self.end()
            self._reply = ""
        self._grow(whole[len(self._reply) :])

    def _write(self, kind: str, text: str) -> None:
        if self._open != kind:
            self.end()
            self._open = kind
        if kind == "thinking":
            click.secho(text, nl=False, fg=_QUIET, err=True)
        else:
            click.echo(text, nl=False)


def _json(args: dict[str, Any]) -> str:
    return msgspec.json.encode(args).decode()


def describe(error: FlueError) -> str:
    """The error as a person at a terminal reads it: what is wrong, and below what to do."""
    return f"{error.message}\n{error.details}" if error.details else error.message
