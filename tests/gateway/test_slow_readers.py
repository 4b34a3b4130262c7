"""A peer that does not read costs a bounded buffer and nobody's time."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from flue_actors.definition.settings import Settings
from flue_actors.gateway.socket_channel import SocketProtocol
from tests.gateway.house import House, agent, eventually, serving_house
from tests.gateway.test_prompting import SSE, parse
from tests.helpers.http import Connection, exchange, head, prompt

LONG = agent("echo", model="scripted/paced?deltas=20000&rate=0&size=400")
WIDE = agent("echo", model="scripted/echo?size=1000000")
HERE = "/agents/echo/me"


@asynccontextmanager
async def deaf(house: House, *, buffer: int = 4096) -> AsyncGenerator[Connection]:
    """A connection with a tiny receive buffer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, house.address)
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def a_socket(connection: Connection, message: str = "hi") -> None:
    upgrade = ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"]
    await connection.send(head("GET", HERE, *upgrade, "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="))
    await connection.head()
    frame = {"version": 1, "type": "prompt", "requestId": "r", "message": message}
    text = json.dumps(frame).encode()
    await connection.send(b"\x81\xff" + struct.pack("!Q", len(text)) + b"\0\0\0\0" + text)


async def a_stream(connection: Connection, message: str = "hi") -> None:
    await connection.send(prompt(HERE, message, SSE))
    await connection.head()


@pytest.mark.parametrize("open_with", [a_socket, a_stream])
async def test_a_reader_that_never_reads_is_cut_off_and_others_are_served(open_with: Any) -> None:
    async with serving_house(WIDE, agent("other"), settings=Settings(stall_timeout=0.3)) as house:
        async with deaf(house) as connection:
            await open_with(connection, "x" * 900_000)
            await eventually(lambda: _stalled(house))
            assert (await exchange(house.address, prompt("/agents/other/me"))).status == 200
            await eventually(lambda: not house.app.gateway.sockets and not house.app.gateway.streams, 20)
        await eventually(lambda: not house.runtime.snapshot().pending)


def _stalled(house: House) -> bool:
    connections: list[Any] = list(house.server.server_state.connections)
    return any(each.congested if isinstance(each, SocketProtocol) else each.flow.write_paused for each in connections)


async def test_a_stream_that_lost_events_ends_with_an_error_event() -> None:
    async with serving_house(LONG) as house, deaf(house) as connection:
        await a_stream(connection)
        await eventually(lambda: not house.runtime.snapshot().pending, 20)
        body = b"".join(await connection.chunks())
    event, _, data = parse(body)[-1]
    assert (event, data["error"]["type"]) == ("error", "reader_too_slow")


async def test_a_socket_that_lost_events_is_told_to_come_back() -> None:
    async with serving_house(LONG) as house, deaf(house) as connection:
        await a_socket(connection)
        await eventually(lambda: not house.runtime.snapshot().pending, 20)
        tail = b""
        async with asyncio.timeout(20):
            while b"\x03\xf5" not in tail:  # 1013
                tail = tail[-10:] + await connection.reader.read(100_000)


async def test_a_peer_that_talks_and_never_listens_is_not_listened_to() -> None:
    ping = b'{"version":1,"type":"ping","requestId":"%b"}' % (b"x" * 70)
    frame = b"\x81" + bytes([0x80 | len(ping)]) + b"\0\0\0\0" + ping
    async with serving_house() as house, deaf(house) as connection:
        await a_socket(connection)
        [protocol] = house.server.server_state.connections
        assert isinstance(protocol, SocketProtocol)
        connection.writer.write(frame * 200_000)
        await eventually(lambda: protocol.congested)
        unsent = -1
        while unsent != (unsent := connection.writer.transport.get_write_buffer_size()):
            await asyncio.sleep(0.1)
        assert unsent > 0
        assert protocol.transport.get_write_buffer_size() < 1_000_000
