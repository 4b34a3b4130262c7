"""Every way to talk to an instance, each behind the same calls."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal, Protocol, TypedDict, Unpack
from urllib.parse import quote

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from flue_actors.definition.attaching import File, Image
from flue_actors.errors import FlueError
from flue_actors.refs import LocalAgentRef
from tests.helpers.http import Address, Reply, exchange, prompt, request

PATIENCE = 20.0

Decision = Literal["approve", "deny"]
Answer = dict[str, Any]


class Outcome(msgspec.Struct, frozen=True):
    """What somebody who said something is answered, as far as every transport tells it. ``error`` is its type."""

    text: str = ""
    data: Any = None
    stop_reason: str | None = None
    error: str | None = None


class What(TypedDict, total=False):
    """What goes along with a text."""

    images: list[Image]
    files: list[File]
    result: dict[str, Any]


class Transport(Protocol):
    """Talks to one instance."""

    async def say(self, text: str, **what: Unpack[What]) -> Outcome:
        """Say it and wait for what comes of it."""
        ...

    async def approvals(self) -> list[Answer]:
        """The calls that wait for a decision, as on the wire."""
        ...

    async def decide(self, approval_id: str, decision: Decision, reason: str | None = None) -> None:
        """Decide on one."""
        ...


class InProcess:
    """``ref.submit`` and its result, which is what ``ref.prompt`` waits for."""

    def __init__(self, ref: LocalAgentRef) -> None:
        self.ref = ref

    async def say(self, text: str, **what: Unpack[What]) -> Outcome:
        try:
            submitted = await self.ref.submit(text, **what)
            return outcome(msgspec.to_builtins(await submitted.result()))
        except FlueError as error:
            return Outcome(error=error.type)

    async def approvals(self) -> list[Answer]:
        return msgspec.to_builtins(await self.ref.approvals())

    async def decide(self, approval_id: str, decision: Decision, reason: str | None = None) -> None:
        await self.ref.decide(approval_id, "approved" if decision == "approve" else "denied", reason=reason)


class Dispatch(InProcess):
    """`ref.dispatch` and `ref.wait`: an event takes neither pictures nor the shape of an answer along."""

    async def say(self, text: str, **what: Unpack[What]) -> Outcome:
        assert not what
        try:
            return outcome(msgspec.to_builtins(await self.ref.wait(await self.ref.dispatch(text))))
        except FlueError as error:
            return Outcome(error=error.type)


class Post:
    """``POST /agents/{name}/{id}``."""

    headers: tuple[str, ...] = ()

    def __init__(self, address: Address, here: str) -> None:
        self.address = address
        self.here = here

    async def say(self, text: str, **what: Unpack[What]) -> Outcome:
        return self.told((await self.send(text, what)).json)

    async def send(self, text: str, what: What) -> Reply:
        async with asyncio.timeout(PATIENCE):
            return await exchange(self.address, prompt(self.here, text, *self.headers, **fields(what)))

    def told(self, body: Answer) -> Outcome:
        """What the answer of a POST, or a submission's receipt, says."""
        if (error := body.get("error")) is not None:
            return Outcome(error=error["type"])
        return outcome(body["result"])

    async def approvals(self) -> list[Answer]:
        reply = await exchange(self.address, request("GET", self.here + "/approvals"))
        return reply.json["approvals"]

    async def decide(self, approval_id: str, decision: Decision, reason: str | None = None) -> None:
        body = json.dumps({"decision": decision, "reason": reason}).encode()
        target = f"{self.here}/approvals/{quote(approval_id, safe='')}"
        reply = await exchange(self.address, request("POST", target, body))
        assert reply.status == 200, reply.body


class Events(Post):
    """The same, answered by server-sent events."""

    headers = ("accept: text/event-stream",)

    async def say(self, text: str, **what: Unpack[What]) -> Outcome:
        reply = await self.send(text, what)
        if reply.status >= 400:
            return self.told(reply.json)
        assert reply.headers["content-type"].startswith("text/event-stream")
        frames = [frame for frame in reply.body.decode().split("\n\n") if frame and not frame.startswith(":")]
        events = [json.loads(frame.partition("data: ")[2]) for frame in frames]
        if events[-1]["type"] == "error":
            return Outcome(error=events[-1]["error"]["type"])
        assert events[-1]["type"] == "idle"
        return outcome(next(each for each in events if each["type"] == "operation" and "taskId" not in each)["result"])


class Receipt(Post):
    """The same, answered at once (``Prefer: respond-async``); the outcome is asked for afterwards."""

    headers = ("prefer: respond-async",)

    async def say(self, text: str, **what: Unpack[What]) -> Outcome:
        reply = await self.send(text, what)
        if reply.status >= 400:
            return self.told(reply.json)
        assert reply.status == 202
        async with asyncio.timeout(PATIENCE):
            while True:
                receipt = await exchange(self.address, request("GET", reply.headers["location"] + "?wait=5"))
                if receipt.json["status"] == "settled":
                    return self.told(receipt.json)


class Socket:
    """A WebSocket. One reader hands every frame to the request that it answers."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._count = 0

    async def say(self, text: str, **what: Unpack[What]) -> Outcome:
        frame = await self._ask("prompt", message=text, **fields(what))
        return Outcome(error=frame["error"]["type"]) if frame["type"] == "error" else outcome(frame["result"])

    async def approvals(self) -> list[Answer]:
        return (await self._ask("approvals"))["approvals"]

    async def decide(self, approval_id: str, decision: Decision, reason: str | None = None) -> None:
        frame = await self._ask("decide", approvalId=approval_id, decision=decision, reason=reason)
        assert frame["type"] == "decided", frame

    async def _ask(self, kind: str, **more: Any) -> Answer:
        self._count += 1
        named = str(self._count)
        self._waiting[named] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"version": 1, "type": kind, "requestId": named, **more}))
        async with asyncio.timeout(PATIENCE):
            return await self._waiting[named]

    async def listen(self) -> None:
        """Read until the socket closes."""
        async for text in self._socket:
            frame = json.loads(text)
            if frame["type"] not in ("ready", "started", "event"):
                self._waiting.pop(frame["requestId"]).set_result(frame)


def fields(what: What) -> dict[str, Any]:
    """What goes along, as bodies and frames say it."""
    images = [
        {"type": "image", "data": _text64(each.data), "mimeType": each.mime_type} for each in what.get("images", ())
    ]
    files = [
        {"type": "file", "data": _text64(each.data), "mimeType": each.mime_type, "name": each.name}
        for each in what.get("files", ())
    ]
    said = {"images": images, "files": files, "result": what.get("result")}
    return {name: value for name, value in said.items() if value}


def outcome(result: Answer) -> Outcome:
    """A prompt's result on the wire."""
    return Outcome(result["text"], result.get("data"), result.get("stopReason"))


def _text64(data: bytes) -> str:
    return base64.b64encode(data).decode()


Opening = Callable[[LocalAgentRef, Address], AbstractAsyncContextManager[Transport]]


@asynccontextmanager
async def in_process(ref: LocalAgentRef, _: Address) -> AsyncGenerator[Transport]:
    yield InProcess(ref)


@asynccontextmanager
async def dispatch(ref: LocalAgentRef, _: Address) -> AsyncGenerator[Transport]:
    yield Dispatch(ref)


@asynccontextmanager
async def websocket(ref: LocalAgentRef, address: Address) -> AsyncGenerator[Transport]:
    async with connect(f"ws://{address[0]}:{address[1]}{_here(ref)}", max_size=None) as connection:
        socket = Socket(connection)
        listening = asyncio.create_task(socket.listen())
        yield socket
        await connection.close()
        await listening


def _over_http(kind: type[Post]) -> Opening:
    @asynccontextmanager
    async def opened(ref: LocalAgentRef, address: Address) -> AsyncGenerator[Transport]:
        yield kind(address, _here(ref))

    return opened


def _here(ref: LocalAgentRef) -> str:
    return f"/agents/{ref.key.agent}/{ref.key.id}"


TRANSPORTS: dict[str, Opening] = {
    "in-process": in_process,
    "http": _over_http(Post),
    "sse": _over_http(Events),
    "receipt": _over_http(Receipt),
    "websocket": websocket,
    "dispatch": dispatch,
}
"""By name. All but ``dispatch`` carry pictures, files and the shape of an answer."""

CARRYING = [name for name in TRANSPORTS if name != "dispatch"]
