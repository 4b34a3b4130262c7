"""What a runtime loads before it takes its first input."""

import subprocess
import sys

import pytest

from flue_actors import create_agent
from flue_actors.errors import FlueError
from flue_actors.runtime import Runtime

PROGRAM = """
import asyncio, sys
from flue_actors import Runtime, create_agent
async def main():
    async with Runtime({{"clerk": create_agent(model="{model}", instructions="Be brief.")}}):
        print("anthropic" in sys.modules)
asyncio.run(main())
"""


@pytest.mark.parametrize(("model", "loaded"), [("anthropic/claude-haiku-4-5", "True"), ("scripted/echo", "False")])
def test_a_started_runtime_has_loaded_the_sdk_if_an_agent_needs_it(model: str, loaded: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(model=model)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == loaded


SLOW = """
import asyncio, sys, time
from flue_actors import Runtime, create_agent

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "anthropic":
            time.sleep(3)

async def main():
    sys.meta_path.insert(0, Slow())
    began, loaded = time.monotonic(), asyncio.Event()
    async with Runtime({"clerk": create_agent(model="anthropic/claude-haiku-4-5", instructions="Be brief.")}) as runtime:
        print(time.monotonic() - began < 2.5)
        runtime.when_loaded(loaded.set)
        print(loaded.is_set())
        await loaded.wait()
        print(time.monotonic() - began > 3)
asyncio.run(main())
"""


def test_a_start_does_not_wait_long_for_an_sdk() -> None:
    command = [sys.executable, "-c", SLOW]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["True", "False", "True"]


async def test_what_is_loaded_already_is_waited_for_by_nobody() -> None:
    called: list[str] = []
    async with Runtime({"clerk": create_agent(model="scripted/echo", instructions="Be brief.")}) as runtime:
        runtime.when_loaded(lambda: called.append("now"))
        assert called == ["now"]


async def test_an_agent_with_an_unknown_model_does_not_keep_the_others_from_working() -> None:
    agents = {name: create_agent(model=f"{name}/echo", instructions="Be brief.") for name in ("nowhere", "scripted")}
    async with Runtime(agents) as runtime:
        assert (await runtime.ref("scripted", "u1").prompt("hi")).text.startswith("echo: hi")
        with pytest.raises(FlueError):
            await runtime.ref("nowhere", "u1").prompt("hi")
