"""Agents of the gateway's tests that can do more than echo, and short ways to ask them."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

from flue_actors.definition.agent import create_agent, define_agent_profile
from flue_actors.definition.attaching import Image
from flue_actors.definition.guards import Guard, public
from flue_actors.definition.project import AgentDefinition
from flue_actors.definition.tools import ToolAnswer, ToolContext, tool
from flue_actors.messages import FileContent, ImageContent, ToolResultMessage, UserMessage, text_of
from flue_actors.models.protocol import ModelRequest
from flue_actors.testing import FunctionModel, calls
from tests.gateway.house import House
from tests.helpers.http import Reply, exchange, request

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PDF = b"%PDF-1.7 a document"


def text64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def image(data: bytes = PNG, mime_type: str = "image/png") -> dict[str, str]:
    return {"type": "image", "data": text64(data), "mimeType": mime_type}


def file(data: bytes = PDF, mime_type: str = "application/pdf", name: str = "report.pdf") -> dict[str, str]:
    return {"type": "file", "data": text64(data), "mimeType": mime_type, "name": name}


def looker(route: Guard = public) -> AgentDefinition:
    """Says which pictures and files it was shown, and draws one when asked to."""

    @tool
    def draw() -> ToolAnswer:
        """Draw a picture."""
        return ToolAnswer(text="here", images=(Image(b"GIF89a drawn", "image/gif"),))

    def answer(request: ModelRequest) -> Any:
        last = request.messages[-1]
        if text_of(last) == "draw" and isinstance(last, UserMessage):
            return calls("draw")
        seen = [len(request.attachments[part.attachment]) for part in parts(request)]
        return f"seen: {seen}"

    def parts(request: ModelRequest) -> list[ImageContent | FileContent]:
        messages = [each for each in request.messages if isinstance(each, UserMessage | ToolResultMessage)]
        found = [part for each in messages for part in each.content]
        return [part for part in found if isinstance(part, ImageContent | FileContent)]

    model = FunctionModel(answer)
    return AgentDefinition(name="looker", agent=create_agent(model=model, tools=[draw]), route=route, websocket=public)


def sender(guard: Guard = public, *, sent: list[str] | None = None) -> AgentDefinition:
    """Calls ``send`` once for every address in its message; every call has to be approved."""

    @tool(approval=True)
    def send(to: str) -> str:
        """Send it."""
        if sent is not None:
            sent.append(to)
        return f"sent to {to}"

    def answer(request: ModelRequest) -> Any:
        last = request.messages[-1]
        if isinstance(last, ToolResultMessage):
            results = [text_of(each) for each in request.messages if isinstance(each, ToolResultMessage)]
            return " | ".join(results)
        return tuple(calls("send", to=each) for each in text_of(last).split())

    agent = create_agent(model=FunctionModel(answer), tools=[send])
    return AgentDefinition(name="sender", agent=agent, route=guard, websocket=guard)


def boss(*, approval: bool = False) -> AgentDefinition:
    """Has a worker do what it is told; the worker looks something up."""

    @tool(approval=approval)
    def look(ctx: ToolContext) -> str:
        """Look."""
        return f"looked in {ctx.session}"

    def answer(request: ModelRequest) -> Any:
        last = request.messages[-1]
        if isinstance(last, ToolResultMessage):
            return f"done: {text_of(last)}"
        if "task" in [each.name for each in request.tools]:
            return calls("task", agent="worker", prompt=text_of(last))
        return calls("look")

    worker = define_agent_profile(name="worker", description="Works.", tools=[look], instructions="Work.")
    agent = create_agent(model=FunctionModel(answer), subagents=[worker])
    return AgentDefinition(name="boss", agent=agent, route=public, websocket=public)


def shaper(answer: Callable[[ModelRequest], Any]) -> AgentDefinition:
    """An agent that gives structured results."""
    return AgentDefinition(
        name="shaper", agent=create_agent(model=FunctionModel(answer)), route=public, websocket=public
    )


async def get(house: House, target: str, *headers: str) -> Reply:
    return await exchange(house.address, request("GET", target, b"", *headers))


async def post(house: House, target: str, body: object, *headers: str) -> Reply:
    return await exchange(house.address, request("POST", target, json.dumps(body).encode(), *headers))


async def asked(house: House, here: str, count: int = 1) -> list[dict[str, Any]]:
    """The approvals of an instance, once there are so many."""
    async with asyncio.timeout(10):
        while len(found := (await get(house, here + "/approvals")).json["approvals"]) != count:
            await asyncio.sleep(0.005)
    return found
