"""Clients of every kind that talk to a server until it is gone, and write down what they were told."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import aiohttp

from flue_actors.agent_ref import IfBusy
from tests.faults.book import Book, Sent
from tests.faults.house import CANARY

AGENTS = ("writer", "worker")
HEADERS = {"authorization": f"Bearer {CANARY}"}
GONE = (aiohttp.ClientError, OSError, TimeoutError, ConnectionError)

LONG = "word " * 3_500
"""Takes half a second to say, and is journaled meanwhile."""


def script(agent: str, token: str, rng: random.Random) -> str:
    """A message for this agent with the token in it."""
    if agent == "writer":
        return f"{token} " + ("word " * rng.choice((20, 60)) if rng.random() < 0.8 else LONG)
    calls = [f'call {rng.choice(("post", "charge", "look", "build"))} {{"token": "{token}"}}' for _ in range(3)]
    return "\n".join([*calls[: rng.randint(1, 2)], "then", calls[2]])


class Client:
    """Sends one input after another, each over a transport and to an instance drawn at random."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        book: Book,
        rng: random.Random,
        ids: Sequence[str],
        policies: Sequence[IfBusy],
    ) -> None:
        self._session = session
        self._url = url
        self._book = book
        self._rng = rng
        self._ids = ids
        self._policies = policies
        self._transports: dict[str, Callable[[str, Sent], Awaitable[None]]] = {
            "http": self._http,
            "stream": self._stream,
            "socket": self._socket,
            "dispatch": self._dispatch,
            "receipt": self._receipt,
            "abort": self._abort,
        }

    async def talk(self) -> None:
        """Until the server is gone."""
        while True:
            transport = self._rng.choice(list(self._transports))
            agent, id = self._rng.choice(AGENTS), self._rng.choice(self._ids)
            if transport == "abort":  # of an instance of its own: it aborts nobody else's
                agent, id = "writer", f"aborted-{self._rng.getrandbits(40)}"
            sent = self._book.enter(f"{agent}/{id}", transport, time.monotonic())
            try:
                await self._transports[transport](script(agent, sent.token, self._rng), sent)
            except GONE:
                return
            if transport in ("dispatch", "receipt"):
                await asyncio.sleep(self._rng.uniform(0, 0.1))  # others wait for an answer

    async def _http(self, message: str, sent: Sent) -> None:
        async with self._session.post(self._path(sent), json=self._body(message)) as response:
            body = await response.json()
            if response.status == 200:
                sent.told = time.monotonic()
                sent.result = body["result"]["text"]
            else:
                sent.refused = str(body)

    async def _stream(self, message: str, sent: Sent) -> None:
        accept = {"accept": "text/event-stream"}
        async with self._session.post(self._path(sent), json=self._body(message), headers=accept) as response:
            if response.status != 200:
                sent.refused = await response.text()
                return
            async for line in response.content:
                sent.told = sent.told or time.monotonic()
                if line.startswith(b"data: "):
                    self._note_end(json.loads(line[6:]), sent)

    async def _socket(self, message: str, sent: Sent) -> None:
        async with self._session.ws_connect(self._path(sent)) as socket:
            await socket.send_json({"version": 1, "type": "prompt", "requestId": "1", **self._body(message)})
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    return
                said = frame.json()
                if said["type"] == "started":
                    sent.told = time.monotonic()
                elif said["type"] == "result":
                    sent.result = said["result"]["text"]
                    return
                elif said["type"] == "error":
                    sent.refused = str(said["error"])
                    return

    async def _dispatch(self, message: str, sent: Sent) -> None:
        async with self._session.post(f"{self._url}/dispatches/{sent.instance}", json=message) as response:
            if response.status == 202:
                sent.told = time.monotonic()
            else:
                sent.refused = await response.text()

    async def _receipt(self, message: str, sent: Sent) -> None:
        later = {"prefer": "respond-async"}
        async with self._session.post(self._path(sent), json=self._body(message), headers=later) as response:
            if response.status == 202:
                sent.told = time.monotonic()
            else:
                sent.refused = await response.text()

    async def _abort(self, message: str, sent: Sent) -> None:
        await self._receipt(f"{sent.token} {LONG}", sent)
        await asyncio.sleep(self._rng.uniform(0, 0.1))
        async with self._session.post(f"{self._path(sent)}/abort") as response:
            sent.aborted = response.status == 200 and (await response.json())["aborted"]

    def _note_end(self, event: dict[str, Any], sent: Sent) -> None:
        if event["type"] == "operation" and "result" in event:
            sent.result = event["result"]["text"]
        elif event["type"] == "error":
            sent.refused = str(event["error"])

    def _body(self, message: str) -> dict[str, str]:
        return {"message": message, "ifBusy": self._rng.choice(self._policies)}

    def _path(self, sent: Sent) -> str:
        return f"{self._url}/agents/{sent.instance}"


async def talk_until(
    moment: Callable[[], Awaitable[None]],
    url: str,
    book: Book,
    rng: random.Random,
    clients: int,
    ids: Sequence[str],
    policies: Sequence[IfBusy],
) -> None:
    """Let clients talk to the server; ``moment`` returns when it has been killed."""
    async with aiohttp.ClientSession(headers=HEADERS, timeout=aiohttp.ClientTimeout(total=60)) as session:
        talking = [
            asyncio.create_task(Client(session, url, book, random.Random(rng.random()), ids, policies).talk())
            for _ in range(clients)
        ]
        await moment()
        async with asyncio.timeout(20):
            for each in talking:
                with suppress(asyncio.CancelledError):
                    await each
