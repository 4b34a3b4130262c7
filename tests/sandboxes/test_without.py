"""An agent without a sandbox: nothing of one is loaded, begun or shown to its model."""

import json
import subprocess
import sys

from flue_actors import create_agent
from flue_actors.testing import FunctionModel
from tests.runtime.support import running

PROGRAM = """
import asyncio, json, os, sys
from flue_actors import Runtime, create_agent

async def main():
    async with Runtime({"agent": create_agent(model="scripted/echo", instructions="Echo.")}) as runtime:
        await runtime.ref("agent", "u1").prompt("hello")
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            print(json.dumps([sorted(sys.modules), children.read().split()]))

asyncio.run(main())
"""
KINDS = ("bashkit", "flue_actors.sandboxes.local", "flue_actors.sandboxes.isolated", "flue_actors.sandboxes.virtual")


def test_a_program_with_plain_agents_loads_no_kind_of_sandbox_and_begins_no_process() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True, timeout=50)
    modules, processes = json.loads(ran.stdout)
    assert [name for name in modules if name.startswith(KINDS)] == []
    assert processes == []


async def test_its_model_sees_no_tools_for_files_and_shell() -> None:
    model = FunctionModel(lambda _: "hello")
    async with running(create_agent(model=model, instructions="Echo.")) as runtime:
        await runtime.ref("agent", "u1").prompt("hello")
    assert model.requests[0].tools == ()
