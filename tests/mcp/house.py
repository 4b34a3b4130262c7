"""Servers for the tests of this room, and how their tools are called."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

from flue_actors.mcp.server import McpServer, connect_mcp_server
from tests.helpers.ports import free_port

HERE = Path(__file__).parent
PATIENCE = 20.0


class Program:
    """`program.py` behind a port; it can be killed and started again."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.port = free_port()
        self.process = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        """Begin to start; `wait` waits."""
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "program.py"), self.kind, str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait(self) -> "Program":
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        raise AssertionError(f"the {self.kind} server did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def connect(self, **options) -> McpServer:
        transport = "sse" if self.kind == "sse" else "streamable-http"
        return connect_mcp_server("t", url=self.url, transport=transport, allow_private=True, **options)


def program(**options) -> McpServer:
    """`program.py` as a child process."""
    return connect_mcp_server("t", command=sys.executable, args=[str(HERE / "program.py"), "stdio"], **options)


def raw(name="raw", told=None, **options) -> McpServer:
    """`raw.py` as a child process."""
    args = [str(HERE / "raw.py"), json.dumps(told or {})]
    return connect_mcp_server(name, command=sys.executable, args=args, **options)


def acting(**options) -> McpServer:
    """`raw.py` with the tools that do something."""
    tools = [
        {"name": name, "inputSchema": {"type": "object"}} for name in ("environment", "spawn", "count", "die", "shout")
    ]
    return raw("t", {"tools": tools}, **options)


async def call(server: McpServer, tool: str, **arguments):
    """Call the tool as the runtime does."""
    (found,) = [each for each in server.tools if each.name.endswith(f"__{tool}")]
    return await found.execute(found.bind(arguments), None, None)


async def until(condition, patience: float = PATIENCE):
    """Poll until it is true; what it returned."""
    async with asyncio.timeout(patience):
        while not (found := condition()):
            await asyncio.sleep(0.01)
        return found


def written(path: Path) -> str:
    """What the file says by now."""
    return path.read_text() if path.exists() else ""
