"""Damaged bytes on a real port: nothing raises inside the server, and it goes on serving."""

import asyncio
import logging
import random
from contextlib import suppress
from typing import Any

import pytest

from flue_actors.definition.settings import Settings
from tests.gateway.abilities import file, image
from tests.gateway.house import eventually, serving_house
from tests.helpers.http import connected, exchange, head, prompt, request

UPGRADE = [
    "connection: upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
    "sec-websocket-protocol: flue.v1, bearer.YQ",
]
TEXT = b'{"version":1,"type":"prompt","requestId":"r","message":"hi"}'
FRAME = b"\x81" + bytes([0x80 | len(TEXT)]) + b"\0\0\0\0" + TEXT
CHUNKED = head("POST", "/agents/echo/me", "content-type: application/json", "transfer-encoding: chunked")

ENCLOSED = {
    "images": [image()],
    "files": [file()],
    "result": {"type": "object", "properties": {"a": {"type": "string"}}},
}
DECISION = b'{"decision":"deny","reason":"no"}'

GOOD = [
    prompt("/agents/echo/me"),
    prompt("/agents/echo/me", "hi", "accept: text/event-stream"),
    CHUNKED + b'10\r\n{"message":"hi"}\r\n0\r\n\r\n',
    head("GET", "/agents/echo/me", *UPGRADE) + FRAME,
    head("GET", "/agents/echo/me/status") * 3,
    prompt("/agents/echo/me", **ENCLOSED),
    request("POST", "/agents/echo/me/approvals/call_1", DECISION),
    head("GET", "/agents/echo/me/approvals"),
    head("GET", "/agents/echo/me/attachments/" + "0" * 64, 'if-none-match: "x", W/"y"'),
]


def damaged(rng: random.Random, data: bytes) -> list[bytes]:
    """Bytes flipped, doubled, dropped, and torn into packets."""
    raw = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(raw))
        match rng.randrange(4):
            case 0:
                raw[at] = rng.randrange(256)
            case 1:
                raw[at:at] = raw[at : at + rng.randrange(30)]
            case 2:
                del raw[at : at + rng.randrange(20)]
            case _:
                raw[at:at] = rng.choice([b"\r\n", b"\0", b"\xff", b"%00", b"\r\n\r\n", b"0" * 50])
        raw = raw or bytearray(b"x")
    cut = sorted(rng.randrange(len(raw) + 1) for _ in range(rng.randrange(3)))
    return [bytes(raw[a:b]) for a, b in zip([0, *cut], [*cut, len(raw)], strict=True)]


@pytest.mark.parametrize("seed", range(8))
async def test_damaged_bytes_break_nothing(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    rng = random.Random(seed)
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    async with serving_house(settings=Settings(head_timeout=0.2, body_timeout=0.2)) as house:
        await asyncio.gather(*[_send(house.address, damaged(rng, rng.choice(GOOD))) for _ in range(60)])
        await eventually(lambda: not house.app.gateway.sockets and not house.app.gateway.streams)
        await eventually(lambda: not house.runtime.snapshot().pending)
        assert (await exchange(house.address, prompt("/agents/echo/other"))).status == 200
    assert raised == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def _send(address: tuple[str, int], packets: list[bytes]) -> None:
    with suppress(OSError, TimeoutError):
        async with connected(address) as connection:
            for packet in packets:
                await connection.send(packet)
                await asyncio.sleep(0)
            async with asyncio.timeout(0.1):
                await connection.reader.read(100)
