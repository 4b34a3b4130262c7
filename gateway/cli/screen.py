"""What a person sees of a turn: the reply on stdout as it grows, everything else on stderr."""

import click
import msgspec

from flue_actors.errors import FlueError
from flue_actors.events import Event, Log, TextDelta, ThinkingDelta, ToolCallEnd, ToolStart

_QUIET = "bright_black"


class Screen:
    """Shows one conversation. ``thinking`` also shows the model's reasoning."""

    def __init__(self, *, thinking: bool) -> None:
        self._thinking = thinking
        self._open = ""  # which kind of text the cursor's line belongs to; "" at a line's start

    def show(self, event: Event) -> None:
        """Show what of this event is worth reading."""
        match event:
            case TextDelta(text=text):
                self._write("reply", text)
            case ThinkingDelta(delta=delta) if self._thinking:
                self._write("thinking", delta)
            case ToolStart(tool_name=name, args=args):
                self.note(f"[{name} {msgspec.json.encode(args).decode()}]")
            case ToolCallEnd(tool_name=name, is_error=True):
                self.note(f"[{name} failed]")
            case Log(level="warn" | "error", message=message):
                self.note(f"[{message}]")
            case _:
                pass

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

    def _write(self, kind: str, text: str) -> None:
        if self._open != kind:
            self.end()
            self._open = kind
        if kind == "thinking":
            click.secho(text, nl=False, fg=_QUIET, err=True)
        else:
            click.echo(text, nl=False)


def describe(error: FlueError) -> str:
    """The error as a person at a terminal reads it: what is wrong, and below what to do."""
    return f"{error.message}\n{error.details}" if error.details else error.message
