"""``python -m benchmarks.server``: one agent, ``echo``, served as the product serves it. Prints a line when it listens."""

import argparse
import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop

from flue_actors import Runtime, create_agent, memory_store, public, serve, sqlite
from flue_actors.definition.project import AgentDefinition
from flue_actors.gateway.heap import settle_heap

INSTRUCTIONS = "Reply with a short text."


async def _serve(model: str, store: str, port: int, folder: Path) -> None:
    agent = create_agent(model=model, instructions=INSTRUCTIONS)
    definition = AgentDefinition("echo", agent, route=public, websocket=public)
    kept = memory_store() if store == "memory" else sqlite(folder / "flue.db")
    await serve(Runtime({"echo": definition}, store=kept), port=port, on_listening=_listening)


def _listening(host: str, port: int) -> None:
    settle_heap()  # as the command line does
    print(f"http://{host}:{port}", flush=True)


def _run(main: Coroutine[Any, Any, None], loop: str) -> None:
    if loop == "uvloop":
        uvloop.run(main)
    else:
        asyncio.run(main)


def main() -> None:
    """Parse the arguments and serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", default="scripted/echo")
    parser.add_argument("--store", choices=["sqlite", "memory"], default="sqlite")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="uvloop")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _run(_serve(given.model, given.store, given.port, Path(folder)), given.loop)


if __name__ == "__main__":
    main()
