"""What an agent without a sandbox pays for there being sandboxes: turns beside one that is open, and without; what is loaded.

Two runtimes in one process, measured in turn: both have the same plain agent, one also has an agent whose virtual sandbox
was used. What a program with plain agents only imports, begins and leaves is looked up in a process of its own.
"""

import asyncio
import json
import subprocess
import sys
import time
from statistics import median
from typing import Final

from flue_actors import Runtime, create_agent, virtual

TURNS: Final = 200
ROUNDS: Final = 40
PLAIN: Final = create_agent(model="scripted/echo", instructions="Echo.")
BOXED: Final = create_agent(model="scripted/echo", instructions="Echo.", sandbox=virtual())
_PROBE: Final = """
import asyncio, json, os, sys
from flue_actors import Runtime, create_agent

async def main():
    before = asyncio.all_tasks()
    async with Runtime({"plain": create_agent(model="scripted/echo", instructions="Echo.")}) as runtime:
        await runtime.ref("plain", "me").prompt("hello there")
        rooms = ("flue_actors.sandboxes.", "bashkit")
        shared = {"flue_actors.sandboxes.protocol", "flue_actors.sandboxes.workspace"}
        modules = [name for name in sys.modules if name.startswith(rooms) and name not in shared]
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            print(json.dumps({"modules": len(modules), "processes": len(children.read().split())}))

asyncio.run(main())
"""


def run(quick: bool) -> dict[str, float]:
    """Medians over the rounds; ``cpu_ratio``: a plain turn's CPU beside an open sandbox, to one without."""
    ran = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, check=True, text=True)
    loaded: dict[str, int] = json.loads(ran.stdout)
    return {**asyncio.run(_measured(5 if quick else ROUNDS)), **{name: float(n) for name, n in loaded.items()}}


async def _measured(rounds: int) -> dict[str, float]:
    async with Runtime({"plain": PLAIN}) as without, Runtime({"plain": PLAIN, "boxed": BOXED}) as beside:
        await beside.ref("boxed", "me").shell("echo hi > kept; cat kept")
        await _seconds(without)
        await _seconds(beside)
        pairs: list[tuple[float, float]] = []
        for number in range(rounds):  # the first of two has the warmer machine, or the colder one
            first, second = (without, beside) if number % 2 else (beside, without)
            taken = {first: await _seconds(first), second: await _seconds(second)}
            pairs.append((taken[without], taken[beside]))
    return {
        "plain_us": median([each for each, _ in pairs]) * 1e6,
        "beside_us": median([each for _, each in pairs]) * 1e6,
        "cpu_ratio": median([more / less for less, more in pairs]),
    }


async def _seconds(runtime: Runtime) -> float:
    """CPU of this process for one turn of an instance."""
    ref = runtime.ref("plain", "me")
    await ref.delete()  # each batch has a conversation of the same length
    started = time.process_time()
    for _ in range(TURNS):
        await ref.prompt("hello there")
    return (time.process_time() - started) / TURNS
