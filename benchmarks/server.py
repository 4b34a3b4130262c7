"""``python -m benchmarks.server``: one agent, ``echo``, served as the product serves it.

Prints its address when it listens, and in a second line how many milliseconds that was after its runtime began to start.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop

from flue_actors import Runtime, create_agent, memory_store, public, serve, sqlite
from flue_actors.definition.project import AgentDefinition
from flue_actors.gateway.heap import hold_heap, settle_heap

INSTRUCTIONS = "Reply with a short text."


async def _serve(model: str, store: str, port: int, file: Path) -> None:
    agent = create_agent(model=model, instructions=INSTRUCTIONS)
    definition = AgentDefinition("echo", agent, route=public, websocket=public)
    kept = memory_store() if store == "memory" else sqlite(file)
    runtime = Runtime({"echo": definition}, store=kept)
    began = time.perf_counter()
    hold_heap()

    def listening(host: str, port: int) -> None:
        runtime.when_loaded(settle_heap)  # as the command line does
        elapsed = time.perf_counter() - began
        print(f"http://{host}:{port}\n{elapsed * 1000:.1f}", flush=True)

    await serve(runtime, port=port, on_listening=listening)


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
    parser.add_argument("--file", type=Path, help="the store's file; default: a new one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file: Path = given.file or Path(folder) / "flue.db"
        _run(_serve(given.model, given.store, given.port, file), given.loop)


if __name__ == "__main__":
    main()
