"""An MCP server to test against: ``program.py stdio`` or ``program.py http|legacy|sse PORT``.

``legacy`` is ``http`` that refuses the stateless protocol, so clients fall back to sessions. What the tests have to see
from outside (a cancelled call, a process id) is written to files that the call names.
"""

import base64
import json
import sys
from pathlib import Path

import anyio
import mcp_types as types
from mcp.server import Server

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()

OBJECT = {"type": "object", "properties": {}}
SUM = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
NUMBERS = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
FILE = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}


def text(words):
    return types.CallToolResult(content=[types.TextContent(text=words)])


async def echo(arguments):
    return text(arguments.get("text", ""))


async def add(arguments):
    answer = {"sum": arguments["a"] + arguments["b"]}
    return types.CallToolResult(content=[types.TextContent(text=json.dumps(answer))], structured_content=answer)


async def lie(_):
    return types.CallToolResult(content=[], structured_content={"sum": "many"})


async def fail(_):
    return types.CallToolResult(content=[types.TextContent(text="the disk is on fire")], is_error=True)


async def picture(_):
    return types.CallToolResult(
        content=[
            types.TextContent(text="look:"),
            types.ImageContent(data=PNG, mime_type="image/png"),
            types.ImageContent(data="AAAA", mime_type="image/x-strange"),
        ]
    )


async def nothing(_):
    return types.CallToolResult(content=[])


async def hang(arguments):
    path = Path(arguments["path"])
    path.write_text("started")
    try:
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        path.write_text("cancelled")
        raise


async def count(arguments):
    with Path(arguments["path"]).open("a") as file:
        file.write("x")
    return text("counted")


TOOLS = {
    "echo": (echo, {"type": "object", "properties": {"text": {"type": "string"}}}, None),
    "add": (add, NUMBERS, SUM),
    "lie": (lie, OBJECT, SUM),
    "fail": (fail, OBJECT, None),
    "picture": (picture, OBJECT, None),
    "nothing": (nothing, OBJECT, None),
    "hang": (hang, FILE, None),
    "count": (count, FILE, None),
}


async def list_tools(_, params):
    """Three a page."""
    names = sorted(TOOLS)
    start = int(params.cursor) if params and params.cursor else 0
    page = [
        types.Tool(
            name=name, title=f"The {name}", description=f"Does {name}.", input_schema=inputs, output_schema=outputs
        )
        for name in names[start : start + 3]
        for _, inputs, outputs in [TOOLS[name]]
    ]
    following = str(start + 3) if start + 3 < len(names) else None
    return types.ListToolsResult(tools=page, next_cursor=following)


async def call_tool(_, params):
    return await TOOLS[params.name][0](params.arguments or {})


server = Server("tested", version="1", on_list_tools=list_tools, on_call_tool=call_tool)


async def over_stdio():
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (inbound, outbound):
        await server.run(inbound, outbound, server.create_initialization_options())


def over_http(kind, port):
    import uvicorn

    app = sse_app() if kind == "sse" else server.streamable_http_app()
    uvicorn.run(old(app) if kind == "legacy" else app, host="127.0.0.1", port=port, log_level="error", ws="none")


def old(app):
    async def wrapped(scope, receive, send):
        versions = [value for name, value in scope.get("headers", []) if name == b"mcp-protocol-version"]
        if any(version.startswith(b"2026") for version in versions):
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await app(scope, receive, send)

    return wrapped


def sse_app():
    from mcp.server.sse import SseServerTransport
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Mount, Route

    transport = SseServerTransport("/messages/")

    async def stream(request):
        async with transport.connect_sse(request.scope, request.receive, request._send) as (inbound, outbound):
            await server.run(inbound, outbound, server.create_initialization_options())
        return Response()

    return Starlette(routes=[Route("/mcp", stream), Mount("/messages/", transport.handle_post_message)])


if __name__ == "__main__":
    kind = sys.argv[1]
    if kind == "stdio":
        anyio.run(over_stdio)
    else:
        over_http(kind, int(sys.argv[2]))
