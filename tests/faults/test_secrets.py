"""After faults of several kinds, what must not be told is in no answer, no log line and no stored byte."""

import asyncio
import contextlib
from collections.abc import Generator
from pathlib import Path

import aiohttp
import pytest

from tests.faults.house import CANARY, House, house
from tests.faults.traffic import HEADERS
from tests.messages_api import PROVIDER_TEXT, Fault, messages_server

FAULTS = [Fault("status", status=401), Fault("status", status=400), *[Fault("status", status=413)] * 2]


@pytest.fixture
def home(tmp_path: Path) -> Generator[House]:
    with house(tmp_path / "house") as made:
        (made.folder / "agents" / "baker.py").write_text(
            "from flue_actors import create_agent, public\n"
            "guard = public\n"
            'agent = create_agent(model="anthropic/claude-haiku-4-5")\n'
        )
        yield made


async def answers(home: House) -> list[str]:
    """What a sender is told while the provider fails, and an agent that does not exist, and a tool that raises."""
    found: list[str] = []
    asked = [("baker", "hello")] * len(FAULTS) + [
        ("nobody", "hello"),
        ("worker", "call fail {}"),
        ("worker", "call post"),
    ]
    async with messages_server() as server:
        home.set("ANTHROPIC_BASE_URL", server.url)
        server.fail(*FAULTS)
        home.start()
        await asyncio.to_thread(home.listen)
        async with aiohttp.ClientSession(headers=HEADERS) as http:
            for agent, message in asked:
                accept = {"accept": "text/event-stream"}
                for headers in ({}, accept):
                    path = f"{home.url}/agents/{agent}/u1"
                    async with http.post(path, json={"message": message}, headers=headers) as response:
                        found.append(await response.text())
            with contextlib.suppress(aiohttp.ClientError):
                async with http.ws_connect(f"{home.url}/agents/baker/u1") as socket:
                    await socket.send_json({"version": 1, "type": "prompt", "requestId": "1", "message": "hello"})
                    while (frame := await socket.receive_json())["type"] not in ("result", "error"):
                        found.append(str(frame))
        assert server.count >= len(FAULTS)
    home.kill()
    return found


async def test_secrets_are_told_to_nobody_and_kept_nowhere(home: House) -> None:
    told = "".join(await answers(home))
    stored = b"".join(each.read_bytes() for each in (home.folder / "data").iterdir())
    log = home.said()
    assert CANARY not in told
    assert CANARY.encode() not in stored
    assert CANARY not in log
    assert PROVIDER_TEXT not in told
    assert PROVIDER_TEXT.encode() not in stored
    for inside in ("Traceback", str(home.folder), "site-packages"):
        assert inside not in told
