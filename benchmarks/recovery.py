"""A start after a crash: a million stored instances, 5,000 of them in the middle of a turn.

Until it listens, until a new message to an idle instance is answered, and to one that was interrupted; how the interrupted
turns are resumed against a model that takes `CAPACITY` calls at a time and refuses the others. The process's start
with its imports is counted apart.
"""

import asyncio
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

from benchmarks.crashed_store import crashed_store, instance_id, interrupted
from benchmarks.load import percentile
from benchmarks.processes import Server, anthropic_environment, flue_server
from tests.messages_api import MessagesServer, Settings, messages_server

CAPACITY: Final = 40
SETTINGS: Final = Settings(delay=0.25, record=False, capacity=CAPACITY)
MIB: Final = 1024 * 1024
_UNSETTLED: Final = "SELECT count(*) FROM submissions INDEXED BY submissions_open WHERE outcome IS NULL"


def run(quick: bool) -> dict[str, float]:
    """One start, and everything that was interrupted resumed."""
    instances, turns = (20_000, 200) if quick else (1_000_000, 5_000)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "flue.db"
        crashed_store(file, instances=instances, turns=turns)
        _forget_pages(file)
        return asyncio.run(_measure(file, instances, turns))


def _forget_pages(file: Path) -> None:
    """Nothing of it is in the page cache, as after a power loss."""
    if hasattr(os, "posix_fadvise"):
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def _measure(file: Path, instances: int, turns: int) -> dict[str, float]:
    async with messages_server(SETTINGS) as model, _started(file, model) as server:
        began = time.perf_counter()
        first = await _answered(server, instance_id(1))
        tail = list(interrupted(instances, turns))[-1]
        hurried = asyncio.ensure_future(_answered(server, instance_id(tail)))
        asked, most_bytes = [first], server.resident_bytes()
        number = 1
        while await asyncio.to_thread(_unsettled, file):
            number += 1
            if number % (instances // turns):
                asked.append(await _answered(server, instance_id(number)))
            most_bytes = max(most_bytes, server.resident_bytes())
        resumed = time.perf_counter() - began
        figures = {
            "process_start_ms": (server.exec_seconds - server.start_seconds) * 1e3,
            "until_listening_ms": server.start_seconds * 1e3,
            "first_answer_ms": first * 1e3,
            "interrupted_instance_answer_ms": await hurried * 1e3,
            "meanwhile_p50_ms": percentile(sorted(asked), 50) * 1e3,
            "meanwhile_p99_ms": percentile(sorted(asked), 99) * 1e3,
            "meanwhile_most_ms": max(asked) * 1e3,
            "resumed_s": resumed,
            "resident_mib": most_bytes / MIB,
        }
    return figures | _outcomes(file, turns) | _calls(model)


@asynccontextmanager
async def _started(file: Path, model: MessagesServer) -> AsyncGenerator[Server]:
    """The server on this store; the loop, on which the model answers, stays free while it starts and stops."""
    server = flue_server(
        model="anthropic/claude-haiku-4-5", loop="uvloop", file=file, env=anthropic_environment(model.url)
    )
    running = await asyncio.to_thread(server.__enter__)
    try:
        yield running
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


async def _answered(server: Server, id: str) -> float:
    """Seconds until a new message is answered."""
    began = time.perf_counter()
    await asyncio.to_thread(_post, server, id)
    return time.perf_counter() - began


def _post(server: Server, id: str) -> None:
    url = f"http://127.0.0.1:{server.port}/agents/echo/{id}"
    message = json.dumps({"message": "hello there"}).encode()
    with urlopen(Request(url, message, {"content-type": "application/json"}), timeout=600) as answer:
        answer.read()


def _unsettled(file: Path) -> int:
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
        (count,) = db.execute(_UNSETTLED).fetchone()
    db.close()
    return int(count)


def _outcomes(file: Path, turns: int) -> dict[str, float]:
    with sqlite3.connect(file) as db:
        (completed,) = db.execute(
            "SELECT count(*) FROM submissions WHERE id LIKE 'sub_cut_%' AND outcome = 'completed'"
        ).fetchone()
    db.close()
    return {"completed_share": completed / turns}


def _calls(model: MessagesServer) -> dict[str, float]:
    return {
        "model_calls": float(model.count),
        "most_model_calls_at_once": float(model.most),
        "refused_calls": float(model.refused),
        "refused_share": model.refused / model.count,
    }
