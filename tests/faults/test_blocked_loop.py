"""A tool that keeps the event loop to itself: the log names it, and afterwards everybody is served as before."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.house import house

BLOCKER = '''
import time

from flue_actors import create_agent, public, tool

guard = public


@tool
async def doze() -> str:
    """Sleep where nobody may."""
    time.sleep(1.5)
    return "slept"


agent = create_agent(model="scripted/echo", tools=[doze])
'''


def test_the_log_names_the_tool_that_blocks_and_the_server_goes_on(tmp_path: Path) -> None:
    with house(tmp_path / "house", {"FLUE_STALL_WARNING": "0.3"}) as home, ThreadPoolExecutor() as pool:
        (home.folder / "agents" / "blocker.py").write_text(BLOCKER)
        home.start()
        home.listen()
        blocking = pool.submit(home.client().prompt, "blocker", "u1", "call doze")
        home.until(lambda: 'the tool "doze" blocks the event loop' in home.said(), "nobody is named")
        assert blocking.result(10).status == 200
        began = time.monotonic()
        assert home.client().prompt("writer", "u1", "hello").status == 200
        assert time.monotonic() - began < 0.5
