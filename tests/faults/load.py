"""Callers that arrive at a fixed rate and do not give up: each sends its input again, under the same key, until answered."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec

from tests.faults.traffic import GONE, HEADERS

INSTANCES = 300
PAUSE = 0.1
"""Seconds between two tries."""


class Caller(msgspec.Struct):
    """One input and what its sender got.

    Attributes:
        streamed: Watched as events instead of waited for.
        tries: Connections it took.
        answers: Every answer it was given; more than one is one too many.
        offsets: Of the events it saw, in order.
        resumed: How often it went on from an offset.
    """

    token: str
    instance: str
    streamed: bool
    tries: int = 0
    answers: list[str] = []
    offsets: list[str] = []
    resumed: int = 0


class Load:
    """``rate`` callers a second while `arrive` runs."""

    def __init__(self, url: str, rng: random.Random, *, rate: float, streamed: float) -> None:
        self.callers: list[Caller] = []
        self._url = url
        self._rng = rng
        self._gap = 1 / rate
        self._streamed = streamed

    async def arrive(self, until: asyncio.Event, patience: float) -> None:
        """Callers come until the event is set; then every one of them is answered within ``patience`` seconds.

        Raises:
            TimeoutError: Somebody was not.
        """
        loop = asyncio.get_running_loop()
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            headers=HEADERS, connector=connector, timeout=aiohttp.ClientTimeout(30)
        ) as http:
            due = loop.time()
            tasks: list[asyncio.Task[None]] = []
            while not until.is_set():
                tasks.append(asyncio.create_task(self._serve(http, self._new())))
                due += self._gap
                await asyncio.sleep(max(0, due - loop.time()))
            async with asyncio.timeout(patience):
                await asyncio.gather(*tasks)

    def _new(self) -> Caller:
        instance = f"writer/u{self._rng.randrange(INSTANCES)}"
        caller = Caller(f"T{len(self.callers)}T", instance, self._rng.random() < self._streamed)
        self.callers.append(caller)
        return caller

    async def _serve(self, http: aiohttp.ClientSession, caller: Caller) -> None:
        while not caller.answers:
            caller.tries += 1
            with suppress(*GONE):
                await (self._watch if caller.streamed else self._ask)(http, caller)
            if not caller.answers:
                await asyncio.sleep(PAUSE)

    async def _ask(self, http: aiohttp.ClientSession, caller: Caller) -> None:
        async with self._post(http, caller) as response:
            body = await response.json()
            if response.status == 200:
                caller.answers.append(body["result"]["text"])
            elif response.status != 503:
                raise AssertionError(f"{caller.token}: {response.status} {body}")

    async def _watch(self, http: aiohttp.ClientSession, caller: Caller) -> None:
        async with self._resume(http, caller) if caller.offsets else self._post(http, caller) as response:
            if response.status == 503:
                return
            assert response.status == 200, f"{caller.token}: {response.status} {await response.text()}"
            async for event in _events(response):
                self._see(event, caller)
                if caller.answers:
                    return

    def _see(self, event: dict[str, Any], caller: Caller) -> None:
        if "offset" in event:
            caller.offsets.append(event["offset"])
        if event["type"] == "operation" and caller.token in json.dumps(event):
            caller.answers.append(event["result"]["text"])

    def _post(self, http: aiohttp.ClientSession, caller: Caller) -> Any:
        headers = {"idempotency-key": caller.token}
        if caller.streamed:
            headers["accept"] = "text/event-stream"
        body = {"message": f"{caller.token} please" + " at length" * (300 if caller.streamed else 0)}
        return http.post(f"{self._url}/agents/{caller.instance}", json=body, headers=headers)

    def _resume(self, http: aiohttp.ClientSession, caller: Caller) -> Any:
        caller.resumed += 1
        return http.get(f"{self._url}/agents/{caller.instance}/stream", params={"offset": caller.offsets[-1]})


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    async for line in response.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])
