"""The same against ``@modelcontextprotocol/server-everything``, a server of other authors on another SDK: ``make test-mcp``."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from flue_actors.errors import ToolError
from flue_actors.mcp.server import connect_mcp_server
from tests.helpers.ports import free_port
from tests.mcp.house import call, until

ROOT = Path(os.environ.get("MCP_EVERYTHING", "")) / "node_modules/@modelcontextprotocol/server-everything"
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.skipif(
        "MCP_EVERYTHING" not in os.environ, reason="make test-mcp runs it: it needs npm and the network"
    ),
    pytest.mark.skipif(NODE is None, reason="node is not installed"),
]

ALWAYS = {
    "echo", "get-annotated-message", "get-env", "get-resource-links", "get-resource-reference", "get-structured-content",
    "get-sum", "get-tiny-image", "gzip-file-as-resource", "toggle-simulated-logging", "toggle-subscriber-updates",
    "trigger-long-running-operation",
}  # fmt: skip


class Everything:
    """The server behind a port."""

    def __init__(self, kind, path) -> None:
        self.kind, self.path = kind, path
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [NODE, str(ROOT / "dist/index.js"), self.kind],
            env={"PATH": os.environ["PATH"], "PORT": str(self.port)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def wait(self) -> None:
        await until(self._listens)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def connect(self, **options):
        transport = "sse" if self.kind == "sse" else "streamable-http"
        url = f"http://127.0.0.1:{self.port}{self.path}"
        return connect_mcp_server("everything", url=url, transport=transport, allow_private=True, **options)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.asynccontextmanager
async def everything(kind):
    """The server over a transport: yields ``connect(**options)``."""
    if kind == "stdio":
        yield lambda **options: connect_mcp_server(
            "everything", command=NODE, args=[str(ROOT / "dist/index.js"), "stdio"], **options
        )
        return
    server = Everything(kind, "/sse" if kind == "sse" else "/mcp")
    try:
        await server.wait()
        yield server.connect
    finally:
        server.kill()


@pytest.fixture(params=["stdio", "streamableHttp", "sse"])
def kind(request):
    return request.param


async def test_all_tools_are_there_and_the_plain_ones_answer(kind):
    async with everything(kind) as connect, connect() as server:
        assert {tool.name.removeprefix("mcp__everything__") for tool in server.tools} >= ALWAYS
        assert (await call(server, "echo", message="hi")).text == "Echo: hi"
        assert (await call(server, "get-sum", a=1, b=2)).text == "The sum of 1 and 2 is 3."


async def test_structured_content_is_checked_and_shown_once(kind):
    async with everything(kind) as connect, connect() as server:
        answer = await call(server, "get-structured-content", location="Chicago")
        assert set(json.loads(answer.text)) == {"temperature", "conditions", "humidity"}


async def test_images_links_and_resources(kind):
    async with everything(kind) as connect, connect() as server:
        image = await call(server, "get-tiny-image")
        assert [each.mime_type for each in image.images] == ["image/png"]
        links = await call(server, "get-resource-links", count=2)
        assert links.text.count("[Resource link: ") == 2
        resource = await call(server, "get-resource-reference", resourceType="Text", resourceId=1)
        assert "[Resource: demo://resource/dynamic/text/1" in resource.text


async def test_an_error_of_a_tool_is_an_error_with_its_words(kind):
    async with everything(kind) as connect, connect() as server:
        with pytest.raises(ToolError, match="resourceId"):
            await call(server, "get-resource-reference", resourceType="Text", resourceId=-1)


async def test_a_long_operation_is_given_up_and_the_connection_goes_on(kind):
    async with everything(kind) as connect, connect(call_timeout=0.5) as server:
        with pytest.raises(ToolError, match=r"within 0\.5 s"):
            await call(server, "trigger-long-running-operation", duration=30, steps=2)
        assert (await call(server, "echo", message="on")).text == "Echo: on"


async def test_calls_side_by_side_and_one_cancelled(kind):
    async with everything(kind) as connect, connect() as server:
        long = asyncio.create_task(call(server, "trigger-long-running-operation", duration=30, steps=2))
        answers = await asyncio.gather(*[call(server, "get-sum", a=n, b=0) for n in range(20)])
        assert [answer.text for answer in answers] == [f"The sum of {n} and 0 is {n}." for n in range(20)]
        long.cancel()
        await asyncio.wait([long])
        assert (await call(server, "echo", message="on")).text == "Echo: on"


async def test_a_tool_that_needs_a_task_says_so(kind):
    async with everything(kind) as connect, connect() as server:
        found = [tool for tool in server.tools if tool.name.endswith("simulate-research-query")]
        if not found:
            pytest.skip("the server adds it a moment after the first listing")
        with pytest.raises(ToolError, match="runs as a task"):
            await call(server, "simulate-research-query", topic="x")


async def test_the_environment_of_the_child_is_ours_to_choose(monkeypatch):
    monkeypatch.setenv("SECRET", "of ours")
    async with everything("stdio") as connect, connect(env={"GIVEN": "1"}) as server:
        environment = json.loads((await call(server, "get-env")).text)
    assert environment["GIVEN"] == "1"
    assert "SECRET" not in environment


@pytest.mark.parametrize("kind", ["streamableHttp", "sse"])
async def test_a_restarted_server_is_connected_again_by_the_next_call(kind):
    own = Everything(kind, "/sse" if kind == "sse" else "/mcp")
    try:
        await own.wait()
        async with own.connect() as server:
            own.kill()
            own.start()
            await own.wait()
            if kind == "sse":
                await until(lambda: not server.connected)
            assert (await call(server, "echo", message="back")).text == "Echo: back"
    finally:
        own.kill()
