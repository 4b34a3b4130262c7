"""The tool ``bash``: one command in the sandbox's shell."""

from typing import Annotated, Final

import msgspec

from flue_actors.definition.tools import ToolAnswer, ToolContext, tool
from flue_actors.sandboxes.protocol import TIMED_OUT, ExecResult
from flue_actors.toolset.spilling import spill
from flue_actors.toolset.truncation import Shown, tail

LONGEST: Final = 110.0
"""Seconds a command gets at most: less than the 120 s of a tool call, so that the model learns what it came to."""


@tool
async def bash(
    command: Annotated[str, msgspec.Meta(description="What to run, as typed into a shell.")],
    context: ToolContext,
    timeout: Annotated[float, msgspec.Meta(gt=0, description="Seconds after which it is stopped; at most 110.")]
    | None = None,
) -> ToolAnswer:
    """Run a shell command in the working directory and show what it printed.

    Every command starts a new shell: cd and variables do not last. Of a long output the last 2000 lines or 50 KB are shown.
    """
    allowed = LONGEST if timeout is None else min(timeout, LONGEST)
    result = await context.sandbox.exec(command, timeout=allowed)
    output = joined(result)
    shown = tail(output)
    kept = await spill(context.sandbox, context.tool_call_id, output.encode()) if shown.is_cut else None
    details = {"command": command, "exitCode": result.exit_code}
    return ToolAnswer(text=described(shown, result, kept), details=details)


def joined(result: ExecResult) -> str:
    """Both outputs as one text: stdout, a new line, stderr. Pure."""
    outputs = (result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace"))
    return "\n".join(text for text in outputs if text.strip()).strip()


def described(shown: Shown, result: ExecResult, kept: str | None) -> str:
    """What the model reads of a command that ended. Pure."""
    parts: list[str] = []
    if shown.is_cut or result.dropped:
        parts.append(_cut(shown, result, kept))
    if shown.text:
        parts.append(shown.text)
    if result.timed_out:
        parts.append(f"[stopped: its time was over; exit code {TIMED_OUT}]")
    elif result.exit_code:
        parts.append(f"[exit code {result.exit_code}]")
    return "\n".join(parts) or "(no output)"


def _cut(shown: Shown, result: ExecResult, kept: str | None) -> str:
    says = [f"the last {shown.lines} of {shown.total_lines} lines"] if shown.is_cut else []
    if result.dropped:
        says.append(f"{result.dropped} more bytes were thrown away")
    if kept is not None:
        says.append(f"all {shown.total_bytes} bytes are in {kept}")
    return f"[{'; '.join(says)}]"
