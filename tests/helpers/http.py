"""A client that sends exactly the bytes it is told to, and reads what comes back."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

Address = tuple[str, int]

PATIENCE = 10.0
"""Seconds after which a test gives up waiting for the server."""


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The type in the error envelope."""
        return self.json["error"]["type"]


class Connection:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def send_eof(self) -> None:
        self.writer.write_eof()

    async def reply(self) -> Reply:
        """One whole response."""
        async with asyncio.timeout(PATIENCE):
            status, headers = await self.head()
            return Reply(status, headers, b"" if status in {204, 304} else await self._body(headers))

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of a response."""
        async with asyncio.timeout(PATIENCE):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), headers

    async def line(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readline()

    async def chunk(self) -> bytes:
        """One chunk of a chunked body: what the server wrote at once. Empty at the end."""
        async with asyncio.timeout(PATIENCE):
            size = int(await self.reader.readline(), 16)
            data = await self.reader.readexactly(size + 2)
            return data[:-2]

    async def chunks(self) -> list[bytes]:
        """Every chunk until the end of the body."""
        found = [await self.chunk()]
        while found[-1]:
            found.append(await self.chunk())
        return found[:-1]

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        return b"".join(await self.chunks())


@asynccontextmanager
async def connected(address: Address, *, receive_buffer: int = 2**20) -> AsyncGenerator[Connection]:
    reader, writer = await asyncio.open_connection(*address, limit=receive_buffer)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):  # the server may close it harder
            await writer.wait_closed()


async def exchange(address: Address, raw: bytes) -> Reply:
    """Send these bytes on a new connection; the first response."""
    async with connected(address) as connection:
        await connection.send(raw)
        return await connection.reply()


def head(method: str, target: str, *headers: str, host: str = "test") -> bytes:
    """A request's head."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"host: {host}", *headers, "", ""]).encode("latin-1")


def request(
    method: str, target: str, body: bytes = b"", *headers: str, content_type: str | None = "application/json"
) -> bytes:
    """A whole request; without a body neither length nor type is sent."""
    if body:
        headers = (f"content-length: {len(body)}", *headers)
        if content_type is not None:
            headers = (f"content-type: {content_type}", *headers)
    return head(method, target, *headers) + body


def prompt(target: str, message: Any = "hi", *headers: str, **fields: Any) -> bytes:
    """A prompt's request."""
    return request("POST", target, json.dumps({"message": message, **fields}).encode(), *headers)
