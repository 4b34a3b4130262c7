"""Tools of MCP servers: `connect_mcp_server`. Needs the extra `mcp`.

server      McpServer: what users hold; connects when awaited, calls, connects again
connection  one connection: a task of its own holds it open                     imports nothing of mcp itself,
backoff     how soon a server that could not be reached is asked again          so definitions stay cheap
target      where a server is and how it is reached: checked values
naming      what models call the tools
offering    a server's tool -> a `Tool`
------------------------------------------------------------------------------------------------------------
client      the official client over one of three transports, its errors as ours     loaded on first connecting
content     a result -> a `ToolAnswer`
stdio       a server as a child process
wire        HTTP to checked addresses
addresses   which addresses are public
"""
