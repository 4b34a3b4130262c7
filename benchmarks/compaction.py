"""What summarising a conversation of 5,000 entries costs everybody else: pairs of the same second, without and with it.

A scripted model writes the summary. Another instance is sent one prompt after the other all the while. The loop notes its longest stall. Each conversation is stored beforehand and read when it is compacted.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.load import percentile
from flue_actors import Runtime, create_agent, sqlite
from flue_actors.conversation.entries import Source, message_entry
from flue_actors.ids import AgentKey
from flue_actors.messages import AssistantMessage, Message, TextContent, ToolCall, ToolResultMessage, Usage, UserMessage
from flue_actors.storage import Append, Store
from flue_actors.testing import FunctionModel

MODEL: Final = "scripted/echo?window=200000"
PAIRS: Final = 5
ENTRIES: Final = 5_000
BEAT: Final = 0.001
SECONDS: Final = 1.5
_WORDS: Final = "There is more to say about this matter than would fit in here. " * 12


def run(quick: bool) -> dict[str, float]:
    """Medians over the pairs; ``p99_ratio``: an unrelated prompt beside a compaction, to one without."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_pairs(Path(folder) / "flue.db", 1 if quick else PAIRS))


async def _pairs(file: Path, pairs: int) -> dict[str, float]:
    store = sqlite(file)
    agents = {
        "long": create_agent(model=MODEL, instructions="Help."),
        "other": create_agent(model="scripted/echo", instructions="Help."),
    }
    summary = FunctionModel(lambda _: _WORDS)  # the echo would send half a megabyte back, in pieces
    async with Runtime(agents, store=store) as runtime:
        with runtime.override({MODEL: summary}):
            return await _measured(runtime, store, pairs)


async def _measured(runtime: Runtime, store: Store, pairs: int) -> dict[str, float]:
    plain, beside, stalls, alone, took = list[float](), list[float](), list[float](), list[float](), list[float]()
    fence = runtime.services.fence
    await _prompts(runtime, SECONDS)
    for number in range(pairs):
        key = AgentKey("long", str(number))
        await store.commit(fence, *_history(key))
        latencies, stall = await _prompts(runtime, SECONDS)
        plain.append(percentile(sorted(latencies), 99))
        alone.append(stall)
        compacting = asyncio.ensure_future(_compact(runtime, str(number)))
        latencies, stall = await _prompts(runtime, SECONDS)
        beside.append(percentile(sorted(latencies), 99))
        stalls.append(stall)
        took.append(await compacting)
    return {
        "prompt_p99_ms": median(plain) * 1e3,
        "prompt_p99_beside_ms": median(beside) * 1e3,
        "p99_ratio": median([after / before for before, after in zip(plain, beside, strict=True)]),
        "longest_stall_ms": median(stalls) * 1e3,
        "longest_stall_without_ms": median(alone) * 1e3,
        "compaction_ms": median(took) * 1e3,
    }


async def _compact(runtime: Runtime, id: str) -> float:
    started = time.perf_counter()
    assert await runtime.ref("long", id).compact()
    return time.perf_counter() - started


async def _prompts(runtime: Runtime, seconds: float) -> tuple[list[float], float]:
    """How long each prompt to another instance took, and the loop's longest stall meanwhile."""
    taken, worst, until = list[float](), 0.0, time.perf_counter() + seconds

    async def beat() -> None:
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(BEAT)
            worst = max(worst, time.perf_counter() - before - BEAT)

    beating = asyncio.ensure_future(beat())
    ref = runtime.ref("other", "me")
    while (before := time.perf_counter()) < until:
        await ref.prompt("hello there")
        taken.append(time.perf_counter() - before)
        await asyncio.sleep(0)
    beating.cancel()
    return taken, worst


def _history(key: AgentKey) -> list[Append]:
    """A conversation of messages, calls and results, as turns leave it."""
    entries = [message_entry(n + 1, *_message(n)) for n in range(ENTRIES)]
    return [Append(key=key, session="default", entries=tuple(entries[n : n + 500])) for n in range(0, ENTRIES, 500)]


def _message(n: int) -> tuple[Message, Source]:
    at, id = 1_700_000_000_000 + n, f"call_{n // 4}"
    match n % 4:
        case 0:
            return UserMessage(content=(TextContent(text=f"{n}. {_WORDS[:200]}"),), timestamp=at), "prompt"
        case 1:
            return _reply(at, ToolCall(id=id, name="look_up", arguments={"order": str(n)})), "model"
        case 2:
            found = (TextContent(text=_WORDS),)
            return (
                ToolResultMessage(tool_call_id=id, tool_name="look_up", content=found, is_error=False, timestamp=at),
                "tool",
            )
        case _:
            return _reply(at, TextContent(text=_WORDS)), "model"


def _reply(at: int, part: TextContent | ToolCall) -> AssistantMessage:
    return AssistantMessage(
        content=(part,),
        api="scripted",
        provider="scripted",
        model="echo",
        usage=Usage(),
        stop_reason="toolUse" if isinstance(part, ToolCall) else "stop",
        timestamp=at,
    )
