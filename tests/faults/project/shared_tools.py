"""Tools that leave a line for every execution, in a file that survives whatever happens to the process."""

import asyncio
import os
import time

from flue_actors import ToolContext, tool

_FILE = os.open(os.environ["SIDE_EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
_WORK = 0.02


def _leave(context: ToolContext, step: str = "-") -> None:
    os.write(_FILE, f"{context.tool} {context.agent}/{context.session}/{context.tool_call_id} {step}\n".encode())


@tool
async def post(token: str, context: ToolContext) -> str:
    """Post something that must not be posted twice."""
    _leave(context)
    await asyncio.sleep(_WORK)
    return f"posted {token}"


@tool
def charge(token: str, context: ToolContext) -> str:
    """Charge somebody, from a thread."""
    _leave(context)
    time.sleep(_WORK)
    return f"charged {token}"


@tool(idempotent=True)
async def look(token: str, context: ToolContext) -> str:
    """Look something up: doing it again does no harm."""
    _leave(context)
    await asyncio.sleep(_WORK)
    return f"seen {token}"


@tool(durable=True)
async def build(token: str, context: ToolContext) -> str:
    """Build something in two steps, each of which is recorded."""
    parts: list[str] = []
    for name in ("first", "second"):

        async def work(name: str = name) -> str:
            _leave(context, name)
            await asyncio.sleep(_WORK)
            return name

        parts.append(await context.step.do(name, work))
    return f"built {token} of {' and '.join(parts)}"


TOOLS = [post, charge, look, build]
