"""More than a server can take, from one side: it says so, serves the others meanwhile, and recovers."""

import asyncio
import resource
import socket
import statistics
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import aiohttp
import pytest

from tests.faults.house import House, house
from tests.faults.size import WHOLE

FLOOD = 5_000 if WHOLE else 1_500


@pytest.fixture
def home(tmp_path: Path) -> Generator[House]:
    with house(tmp_path / "house") as made:
        made.start()
        made.listen()
        yield made


async def test_a_flood_to_one_instance_is_bounded_and_does_not_delay_another(home: House) -> None:
    statuses: Counter[int] = Counter()
    waits: list[float] = []
    flooding = asyncio.Event()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def dispatch() -> None:
            async with http.post(f"{home.url}/dispatches/writer/flooded", json="wait 3") as response:
                statuses[response.status] += 1
                if response.status == 429:
                    assert int(response.headers["retry-after"]) >= 1

        async def canary() -> None:
            while not flooding.is_set():
                began = time.monotonic()
                async with http.post(f"{home.url}/agents/writer/canary", json={"message": "hi"}) as response:
                    assert response.status == 200
                waits.append(time.monotonic() - began)
                await asyncio.sleep(0.02)

        watching = asyncio.create_task(canary())
        for _ in range(0, FLOOD, 100):
            await asyncio.gather(*[dispatch() for _ in range(100)])
        flooding.set()
        await watching
    assert statuses.keys() == {202, 429}
    assert 1_000 <= statuses[202] <= 1_010  # max_queued, and those that were begun meanwhile
    assert statistics.median(waits) < 0.2
    assert max(waits) < 2


def answers(home: House) -> bool:
    try:
        return home.client().request("GET", "/livez").status == 200
    except OSError:  # refused, or reset: no descriptor is free yet
        return False


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process can be set on Linux only")
def test_a_server_without_file_descriptors_goes_on_when_there_are_some_again(home: House) -> None:
    resource.prlimit(home.process.pid, resource.RLIMIT_NOFILE, (40, 4_096))
    crowd = [socket.create_connection(("127.0.0.1", home.port)) for _ in range(100)]
    time.sleep(0.3)
    assert home.process.poll() is None
    for each in crowd:
        each.close()
    home.until(lambda: answers(home), "it does not answer any more")
    assert home.client().prompt("writer", "u1", "hello").status == 200
    assert len(home.said()) < 20_000  # the log does not fill the disk
