"""One parent with 100 tasks of a subagent side by side, against 100 instances that are sent one message each.

The same scripted answer either way. A task is one model call and two entries as a message is; the parent's own call and
the results it keeps come on top. Interleaved pairs; the ratio is of tasks to messages in the same time.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from flue_actors import Runtime, create_agent, define_agent_profile, memory_store, sqlite
from flue_actors.definition.settings import Settings
from flue_actors.storage import Store

AT_ONCE: Final = 100
PAIRS: Final = 15
_CALLS: Final = "\n".join(['call task {"agent": "worker", "prompt": "hello there"}'] * AT_ONCE)


def run(quick: bool) -> dict[str, float]:
    """Medians of the pairs, by store."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, store in (("memory", memory_store()), ("sqlite", sqlite(Path(folder) / "flue.db"))):
            figures |= asyncio.run(_measure(name, store, 3 if quick else PAIRS))
    return figures


async def _measure(name: str, store: Store, pairs: int) -> dict[str, float]:
    worker = define_agent_profile(name="worker", description="Answers.", model="scripted/echo", instructions="Answer.")
    agents = {
        "parent": create_agent(model="scripted/echo", instructions="Delegate.", subagents=[worker]),
        "worker": create_agent(model="scripted/echo", instructions="Answer."),
    }
    tasks, messages = list[float](), list[float]()
    async with Runtime(agents, store=store, settings=Settings(max_children=128)) as runtime:
        for number in range(pairs + 2):
            started = time.perf_counter()
            await asyncio.gather(
                *[runtime.ref("worker", f"{number}-{n}").prompt("hello there") for n in range(AT_ONCE)]
            )
            between = time.perf_counter()
            await runtime.ref("parent", str(number)).prompt(_CALLS)
            if number >= 2:  # the first ones warm up
                messages.append(between - started)
                tasks.append(time.perf_counter() - between)
    return {
        f"{name}_tasks_per_s": AT_ONCE / median(tasks),
        f"{name}_messages_per_s": AT_ONCE / median(messages),
        f"{name}_ratio": median([message / task for message, task in zip(messages, tasks, strict=True)]),
    }
