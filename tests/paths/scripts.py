"""What a person says so that the model does it: `flue_actors.models.script`, written by hand no longer."""

import json
from typing import Any

THEN = "then"
"""Ends a reply: calls behind it belong to the next one."""


def call(tool: str, **arguments: Any) -> str:
    """The line that calls this tool."""
    return f"call {tool} {json.dumps(arguments)}"


def script(*lines: str) -> str:
    """What one reply after the other does, `THEN` between them."""
    return "\n".join(lines)


def one_by_one(*calls: str) -> str:
    """Calls of which each waits for the one before it."""
    return f"\n{THEN}\n".join(calls)
